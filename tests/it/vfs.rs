//! A disk in memory whose power can be cut: a SQLite VFS. After a cut it holds what was synced, and of
//! what was written since a random part, torn at 512 bytes.

#![allow(unsafe_code)] // SQLite's file interface is C

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, OnceLock};
use tillpost::sys::random::Random;

/// Under which the VFS is known.
pub const NAME: &str = "cut";

const SECTOR: usize = 512;

enum Op {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Op {
    fn apply(&self, bytes: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Op::Truncate(len) if keep() => bytes.resize(*len, 0),
            Op::Truncate(_) => {}
            Op::Write(at, data) => {
                let mut from = 0;
                while from < data.len() {
                    let to = data.len().min(((at + from) / SECTOR + 1) * SECTOR - at);
                    if keep() {
                        if bytes.len() < at + to {
                            bytes.resize(at + to, 0);
                        }
                        bytes[at + from..at + to].copy_from_slice(&data[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}

#[derive(Default)]
struct Bytes {
    live: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Op>,
    /// Memory that connections share; it goes with the power.
    shared: Vec<Box<[u8]>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    /// Writes and syncs until the power goes.
    fuse: Option<u64>,
    dead: bool,
    open: usize,
}

impl State {
    /// One write or sync: whether there is power for it.
    fn powered(&mut self) -> bool {
        match &mut self.fuse {
            Some(0) => self.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        !self.dead
    }
}

/// See the module.
#[derive(Clone)]
pub struct Disk {
    number: usize,
    state: Arc<Mutex<State>>,
}

fn disks() -> &'static Mutex<Vec<Disk>> {
    static DISKS: OnceLock<Mutex<Vec<Disk>>> = OnceLock::new();
    DISKS.get_or_init(|| {
        register();
        Mutex::default()
    })
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        let mut disks = disks().lock().unwrap();
        let disk = Disk { number: disks.len(), state: Arc::default() };
        disks.push(disk.clone());
        disk
    }

    /// Where a file of this disk is, for SQLite.
    pub fn path(&self, name: &str) -> PathBuf {
        format!("/disk-{}/{name}", self.number).into()
    }

    /// The power will go after so many writes and syncs.
    pub fn cut_after(&self, steps: u64) {
        self.state.lock().unwrap().fuse = Some(steps);
    }

    pub fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    /// Files that are open.
    pub fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// The power is off; what survives is on the disk when it comes back.
    pub fn cut(&self, chance: &dyn Random) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.open, 0, "nobody has a file open without power");
        let share = [0, 0, 50, 90, 100][chance.below(5) as usize];
        for file in state.files.values_mut() {
            for op in std::mem::take(&mut file.pending) {
                op.apply(&mut file.synced, || chance.below(100) < share);
            }
            file.live = file.synced.clone();
            file.shared.clear();
        }
        (state.fuse, state.dead) = (None, false);
    }

    /// All files as they are now.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state.lock().unwrap().files.iter().map(|(name, file)| (name.clone(), file.live.clone())).collect()
    }

    /// Replaces all files; they are synced.
    pub fn load(&self, files: &[(String, Vec<u8>)]) {
        let fresh = |bytes: &Vec<u8>| Bytes { live: bytes.clone(), synced: bytes.clone(), ..Bytes::default() };
        self.state.lock().unwrap().files = files.iter().map(|(name, bytes)| (name.clone(), fresh(bytes))).collect();
    }
}

// ---- the interface ----

#[repr(C)]
struct File {
    base: sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    disk: Disk,
    name: String,
}

/// Runs on the state and the open file.
fn with<T>(file: *mut sqlite3_file, run: impl FnOnce(&mut State, &mut dyn FnMut(&mut State, &mut dyn FnMut(&mut Bytes))) -> T) -> T {
    // SAFETY: SQLite gives what `open` has filled in, until `close`.
    let handle = unsafe { &*(*file.cast::<File>()).handle };
    let mut state = handle.disk.state.lock().unwrap();
    run(&mut state, &mut |state, change| change(state.files.entry(handle.name.clone()).or_default()))
}

fn change(file: *mut sqlite3_file, op: Op) -> c_int {
    with(file, |state, each| {
        let powered = state.powered();
        let mut op = Some(op);
        each(state, &mut |bytes| {
            if let Some(op) = op.take() {
                op.apply(&mut bytes.live, || true);
                bytes.pending.push(op); // a last one may still come through in part
            }
        });
        if powered { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_WRITE }
    })
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives a buffer of that size.
    let to = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), amount as usize) };
    with(file, |state, each| {
        if state.dead {
            return ffi::SQLITE_IOERR_READ;
        }
        let mut had = 0;
        each(state, &mut |bytes| {
            let there = bytes.live.get(at as usize..).unwrap_or_default();
            had = there.len().min(to.len());
            to[..had].copy_from_slice(&there[..had]);
        });
        to[had..].fill(0);
        if had == to.len() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
    })
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives a buffer of that size.
    let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), amount as usize) };
    change(file, Op::Write(at as usize, from.to_vec()))
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    change(file, Op::Truncate(size as usize))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    with(file, |state, each| {
        if !state.powered() {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        each(state, &mut |bytes| {
            for op in std::mem::take(&mut bytes.pending) {
                op.apply(&mut bytes.synced, || true);
            }
        });
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn size(file: *mut sqlite3_file, to: *mut sqlite3_int64) -> c_int {
    with(file, |state, each| {
        // SAFETY: SQLite gives a place for it.
        each(state, &mut |bytes| unsafe { *to = bytes.live.len() as sqlite3_int64 });
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: made by `open`; SQLite closes a file once.
    let handle = unsafe { Box::from_raw((*file.cast::<File>()).handle) };
    handle.disk.state.lock().unwrap().open -= 1;
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK // one connection at a time
}

unsafe extern "C" fn reserved(_: *mut sqlite3_file, to: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a place for it.
    unsafe { *to = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector(_: *mut sqlite3_file) -> c_int {
    4096 // as SQLite's own for Unix says
}

unsafe extern "C" fn device(_: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE // the same
}

unsafe extern "C" fn shared(file: *mut sqlite3_file, region: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int {
    with(file, |state, each| {
        each(state, &mut |bytes| {
            while extend != 0 && bytes.shared.len() <= region as usize {
                bytes.shared.push(vec![0; size as usize].into_boxed_slice());
            }
            let at = bytes.shared.get_mut(region as usize).map_or(null_mut(), |r| r.as_mut_ptr());
            // SAFETY: SQLite gives a place for it. A box stays where it is when the list grows.
            unsafe { *to = at.cast() };
        });
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn shared_lock(_: *mut sqlite3_file, _: c_int, _: c_int, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shared_barrier(_: *mut sqlite3_file) {}

unsafe extern "C" fn unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    with(file, |state, each| {
        if delete != 0 {
            each(state, &mut |bytes| bytes.shared.clear());
        }
        ffi::SQLITE_OK
    })
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector),
    xDeviceCharacteristics: Some(device),
    xShmMap: Some(shared),
    xShmLock: Some(shared_lock),
    xShmBarrier: Some(shared_barrier),
    xShmUnmap: Some(unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Disk and name within it, of a path of ours.
fn find(path: *const c_char) -> Option<(Disk, String)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite gives a text that ends with a zero.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    let (number, name) = path.strip_prefix("/disk-")?.split_once('/')?;
    let disk = disks().lock().unwrap().get(number.parse::<usize>().ok()?)?.clone();
    Some((disk, name.to_owned()))
}

unsafe extern "C" fn open(_: *mut sqlite3_vfs, path: *const c_char, file: *mut sqlite3_file, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite gives room for a `File`; without methods it is not closed.
    unsafe { (*file).pMethods = std::ptr::null() };
    let Some((disk, name)) = find(path) else { return ffi::SQLITE_CANTOPEN };
    let mut state = disk.state.lock().unwrap();
    if state.dead || (flags & ffi::SQLITE_OPEN_CREATE == 0 && !state.files.contains_key(&name)) {
        return ffi::SQLITE_CANTOPEN;
    }
    state.files.entry(name.clone()).or_default();
    state.open += 1;
    drop(state);
    // SAFETY: as above; `out` may be null.
    unsafe {
        (*file.cast::<File>()).handle = Box::into_raw(Box::new(Handle { disk, name }));
        (*file).pMethods = &METHODS;
        if !out.is_null() {
            *out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, _: c_int) -> c_int {
    let Some((disk, name)) = find(path) else { return ffi::SQLITE_IOERR_DELETE };
    let mut state = disk.state.lock().unwrap();
    if !state.powered() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    if state.files.remove(&name).is_some() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_DELETE_NOENT }
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, path: *const c_char, _: c_int, to: *mut c_int) -> c_int {
    let there = find(path).is_some_and(|(disk, name)| disk.state.lock().unwrap().files.contains_key(&name));
    // SAFETY: SQLite gives a place for it.
    unsafe { *to = c_int::from(there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full(_: *mut sqlite3_vfs, path: *const c_char, room: c_int, to: *mut c_char) -> c_int {
    // SAFETY: a text that ends with a zero, and room for as many bytes as it says.
    unsafe {
        let bytes = CStr::from_ptr(path).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len());
    }
    ffi::SQLITE_OK
}

/// Makes the VFS known. What is not about files is left to the system's.
fn register() {
    // SAFETY: the copy and its name live for ever; each function is as SQLite wants it.
    unsafe {
        let mut vfs: sqlite3_vfs = *ffi::sqlite3_vfs_find(std::ptr::null());
        vfs.zName = c"cut".as_ptr();
        vfs.szOsFile = size_of::<File>() as c_int;
        vfs.pNext = null_mut();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full);
        assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0), ffi::SQLITE_OK);
    }
}
