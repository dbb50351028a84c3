//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    tillpost::cli::main()
}
