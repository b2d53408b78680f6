//! The `gatewright` program: arguments in, exit code out.

use std::process::ExitCode;

/// See docs/decisions/0012.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gatewright::cli::run()
}
