//! What can go wrong in the store, by what a caller does about it.

use rusqlite::ErrorCode;

/// Each variant is a situation that callers treat differently.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No space: nothing can be stored now.
    #[error("the disk is full")]
    DiskFull,
    /// The file system or file cannot be written.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The file is damaged: it must be set aside.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The disk failed: nothing more may be written by this process.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The store is being closed, or its thread is gone.
    #[error("the store is closed")]
    Closed,
    /// The file was written by a release that this one cannot read.
    #[error("the database needs at least release schema {needs}, this is {have}")]
    TooNew {
        /// What the file asks of a reader.
        needs: i64,
        /// What this release is.
        have: i64,
    },
    /// A mistake of ours, or a row that cannot be understood.
    #[error("database: {0}")]
    Sql(String),
}

impl StoreError {
    /// The stable word of the API: `disk_full`, `disk_read_only` or `starting`.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::DiskFull => "disk_full",
            StoreError::ReadOnly | StoreError::Disk(_) => "disk_read_only",
            _ => "starting",
        }
    }

    /// Whether the process must write no more and start anew.
    pub fn is_fatal(&self) -> bool {
        matches!(self, StoreError::Damaged(_) | StoreError::Disk(_))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error.to_string()),
            Some(ErrorCode::SystemIoFailure) => StoreError::Disk(error.to_string()),
            _ => StoreError::Sql(error.to_string()),
        }
    }
}
