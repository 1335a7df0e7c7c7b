//! Temporary wiring until the command line is there: `simulate` alone.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

#[path = "cli/simulate.rs"]
mod simulate;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Simulate(simulate::Simulate),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Simulate(args) = Cli::parse().command;
    let token = CancellationToken::new();
    let ctrl_c = token.clone();
    let signals = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            ctrl_c.cancel();
        }
    });
    let result = simulate::run(args, token).await;
    signals.abort();
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("observe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
