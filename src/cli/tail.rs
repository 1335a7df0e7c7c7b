//! Following what one process writes, over restarts of the process and of the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::process_compose::client::Client;
use crate::process_compose::error::ClientError;
use crate::process_compose::logs::{LogSocket, OVERLAP, Seam};
use crate::process_compose::pages::{PAGE, Pages};

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// A log that says nothing for so long after its process began again may be another one now.
const SILENCE: Duration = Duration::from_secs(3);

/// Something to show.
pub(super) enum Told {
    /// A process wrote a line.
    Line(String, String),
    /// Lines of a process may be missing here.
    Hole(String),
    /// Nothing can be followed here, and trying again does not help.
    Failed(ClientError),
}

/// What was shown of a process; it goes on where the process goes on under another name.
pub(super) type SharedSeam = Arc<Mutex<Seam>>;

/// One process that is followed.
pub(super) struct Tail {
    pub(super) client: Arc<Client>,
    pub(super) name: String,
    pub(super) seam: SharedSeam,
    pub(super) told: mpsc::Sender<Told>,
    /// Says that the process began again.
    pub(super) renewed: Arc<Notify>,
}

impl Tail {
    /// Follows until nobody listens; `kept` of the lines that are there already are shown first, and the whole of it only
    /// where this process was followed before.
    pub(super) async fn run(self, kept: Option<usize>, from_end: bool) {
        // On a socket the server would take such a name for several.
        if self.name.contains(',') {
            drop(self.poll(kept, from_end).await);
            return;
        }
        if let Some(kept) = kept
            && self.show_kept(kept, from_end).await.is_err()
        {
            return;
        }
        loop {
            match self.client.follow_lines(&self.name).await {
                Ok(socket) => {
                    if self.listen(socket).await.is_err() {
                        return;
                    }
                }
                Err(error) if error.is_fatal() => {
                    // Where nobody listens any more there is nobody to tell.
                    drop(self.told.send(Told::Failed(error)).await);
                    return;
                }
                Err(error) => tracing::debug!(%error, name = self.name, "a log"),
            }
            if self.told.is_closed() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// Follows by reading what is kept again and again.
    async fn poll(&self, kept: Option<usize>, from_end: bool) -> Result<(), Gone> {
        let mut pages: Option<Pages> = None;
        loop {
            let wanted = match pages {
                None => kept.unwrap_or_default().max(PAGE),
                Some(_) => PAGE,
            };
            match self
                .client
                .kept_lines(&self.name, Some(wanted), from_end)
                .await
            {
                Ok(page) => {
                    self.turn(&mut pages, page.unwrap_or_default(), kept)
                        .await?;
                }
                Err(error) if error.is_fatal() => {
                    return self.told.send(Told::Failed(error)).await.map_err(|_| Gone);
                }
                Err(error) => tracing::debug!(%error, name = self.name, "a log"),
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = self.told.closed() => return Err(Gone),
            }
        }
    }

    /// Shows what is new on a page of kept lines.
    async fn turn(
        &self,
        pages: &mut Option<Pages>,
        mut page: Vec<String>,
        kept: Option<usize>,
    ) -> Result<(), Gone> {
        let lines = if let Some(pages) = pages {
            let news = pages.turn(page);
            if news.hole {
                let hole = Told::Hole(self.name.clone());
                self.told.send(hole).await.map_err(|_| Gone)?;
            }
            news.lines
        } else {
            let shown = if let Some(kept) = kept {
                page.len().saturating_sub(kept)
            } else {
                let from = page.len().saturating_sub(OVERLAP);
                from + self.with_seam(|seam| seam.lay_over(&page[from..]))
            };
            let lines = page[shown..].to_vec();
            page.drain(..page.len().saturating_sub(PAGE));
            *pages = Some(Pages::begin(page));
            lines
        };
        for line in lines {
            self.note(&line);
            self.tell(line).await?;
        }
        Ok(())
    }

    async fn show_kept(&self, shown: usize, from_end: bool) -> Result<(), Gone> {
        let wanted = Some(shown.max(OVERLAP));
        let lines = match self.client.kept_lines(&self.name, wanted, from_end).await {
            Ok(lines) => lines.unwrap_or_default(),
            Err(error) => {
                tracing::debug!(%error, name = self.name, "what is kept of a log");
                return Ok(());
            }
        };
        let hidden = lines.len().saturating_sub(shown);
        for (at, line) in lines.into_iter().enumerate() {
            self.note(&line);
            if at >= hidden {
                self.tell(line).await?;
            }
        }
        Ok(())
    }

    /// Shows what comes on a socket until it is closed, or silent where it must not be.
    async fn listen(&self, mut socket: LogSocket) -> Result<(), Gone> {
        let expected = self.with_seam(|seam| seam.len());
        let fresh = socket.tail(expected).await;
        let empty = expected == 0;
        let known = self.with_seam(|seam| seam.lay_over(&fresh));
        if known == 0 && !empty && fresh.len() == OVERLAP {
            let hole = Told::Hole(self.name.clone());
            self.told.send(hole).await.map_err(|_| Gone)?;
        }
        for line in fresh.into_iter().skip(known) {
            self.note(&line);
            self.tell(line).await?;
        }
        let mut silent_at = None;
        loop {
            let silence = async {
                match silent_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                line = socket.next() => {
                    let Some(line) = line else { return Ok(()) };
                    silent_at = None;
                    self.note(&line);
                    self.tell(line).await?;
                }
                () = self.renewed.notified() => silent_at = Some(Instant::now() + SILENCE),
                () = silence => return Ok(()),
                () = self.told.closed() => return Err(Gone),
            }
        }
    }

    fn note(&self, line: &str) {
        self.with_seam(|seam| seam.note(line));
    }

    fn with_seam<T>(&self, work: impl FnOnce(&mut Seam) -> T) -> T {
        work(&mut self.seam.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn tell(&self, line: String) -> Result<(), Gone> {
        let line = Told::Line(self.name.clone(), line);
        self.told.send(line).await.map_err(|_| Gone)
    }
}

/// Nobody listens any more.
struct Gone;
