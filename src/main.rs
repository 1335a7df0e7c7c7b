//! The program `observe`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use observe::broker::warden::{self, Orders};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !args.starts_with(&["broker".into(), "__warden".into()]) {
        return ExitCode::from(2);
    }
    let Some(orders) = Orders::from_args(args.into_iter().skip(2)) else {
        return ExitCode::from(2);
    };
    match warden::run(orders).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "observe: {error}").unwrap_or_default();
            ExitCode::from(4)
        }
    }
}
