//! Prints the name and the exit code of every process that crashes: `NATS_URL=… cargo run --example on_crash`.

use observe::bus::connect::connect;
use observe::bus::settings::{BusSettings, DEFAULT_URL};
use observe::bus::subscribe::subscribe;
use observe::event::filter::Filter;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "it is an example, and this is what it is for"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| DEFAULT_URL.to_owned());
    let bus = connect(&BusSettings::default().at(&url)).await?;
    let mut crashes = subscribe(&bus, Filter::all().kind("crashed")?)
        .durable("on_crash")
        .open()
        .await?;
    loop {
        let crash = crashes.next().await?;
        let event = &crash.record.envelope;
        let code = event.exit.as_ref().and_then(|exit| exit.code);
        println!(
            "{:?} crashed with {code:?}",
            event.process.as_deref().unwrap_or_default()
        );
        crash.ack().await?;
    }
}
