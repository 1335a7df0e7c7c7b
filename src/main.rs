//! The program: everything is said and decided in [`observe::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    observe::cli::main()
}
