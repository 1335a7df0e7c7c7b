//! Ending the broker because a person says so, whoever uses it.

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::alive;
use super::ensure::{ENDING, RETRY, TURN, end_stray};
use super::error::BrokerError;
use super::folder::Folder;
use super::lease;
use super::lock::{hold, is_held};
use super::settings::Settings;

/// What [`stop`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing ran.
    NotRunning,
    /// The server was ended.
    Ended {
        /// How many held a lease at that time.
        users: usize,
    },
}

/// Ends the managed broker, orderly and at once; its data stays.
///
/// # Errors
/// A warden that does not come to an end, or a server that cannot be seen from here.
///
/// # Cancel safety
/// Dropped before its end the server may or may not end.
pub async fn stop(settings: &Settings) -> Result<Stopped, BrokerError> {
    let root = settings
        .places
        .broker_folder()
        .ok_or(BrokerError::NoFolder)?;
    if !root.exists() {
        return Ok(Stopped::NotRunning);
    }
    let folder = Folder::open(&root)?;
    let locked = |holder| BrokerError::Locked {
        folder: folder.root().to_owned(),
        holder,
    };
    let turn = hold(&folder.lock(), TURN).await?;
    let turn = turn.ok_or_else(|| locked("a start that does not come to an end"))?;
    let users = lease::users(&folder)?;
    let watched = is_held(&folder.warden_lock())?;
    if watched && !dismiss(&folder).await? {
        return Err(locked("a warden that does not come to an end"));
    }
    let stray = is_held(&folder.server_lock())?;
    if stray {
        end_stray(&folder).await?;
    }
    folder.drop_card()?;
    drop(turn);
    Ok(if watched || stray {
        Stopped::Ended { users }
    } else {
        Stopped::NotRunning
    })
}

/// Tells the warden to end and waits until it has; false when it has not.
async fn dismiss(folder: &Folder) -> Result<bool, BrokerError> {
    let end = Instant::now() + ENDING;
    let mut told = None;
    while is_held(&folder.warden_lock())? {
        if Instant::now() >= end {
            return Ok(false);
        }
        // Without a card it is just starting or ending; then there is one later, or none is needed.
        let warden = folder.card()?.map(|card| card.warden);
        if let Some(pid) = warden.filter(|pid| told != Some(*pid))
            && alive::is_ours(pid, folder.root()).await
        {
            alive::tell(pid, Signal::TERM);
            told = Some(pid);
        }
        sleep(RETRY).await;
    }
    Ok(true)
}
