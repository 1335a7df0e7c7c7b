//! Which question wants which answer. It reads the board and nothing else, and waits for nobody.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{HOST, HeaderMap, IF_NONE_MATCH};
use hyper::{Method, StatusCode, Uri};
use serde::Serialize;
use tokio::time::Instant;

use crate::event::subject::fnv1a;
use crate::render::json::shown;

use super::board::{Board, Listed};
use super::events::{Problem, Reading};
use super::figures::figures;
use super::health::{Health, Standing};
use super::host::{Reach, is_ours};
use super::manifest::{Manifest, Way};
use super::ring::Wish;
use super::snapshot::{Seen, Snapshot};
use super::text;

/// The media type of everything but the figures.
const JSON: &str = "application/json";
/// What is much to write is written at the most this often; who asks sooner gets the same again.
const ANEW: Duration = Duration::from_millis(250);
/// So many different ones are kept for that long.
const KEPT: usize = 8;
/// Events in one answer, unless told otherwise, and at the most.
const EVENTS: usize = 100;
const MOST_EVENTS: usize = 1000;

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    /// What changes when the body does, for answers that stay the same for a while.
    pub(super) tag: Option<String>,
    pub(super) body: Bytes,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) reach: Reach,
}

/// Answers questions.
#[derive(Debug)]
pub(super) struct Router {
    board: Board,
    written: Mutex<Vec<(String, Instant, Answer)>>,
}

/// What stood behind the question mark.
#[derive(Debug, Default)]
struct Query {
    after: Option<String>,
    limit: Option<usize>,
    source: Option<String>,
}

type Refused = (StatusCode, Problem);

fn bad(message: impl Into<String>) -> Refused {
    (
        StatusCode::BAD_REQUEST,
        Problem::new("bad_request", message),
    )
}

impl Router {
    pub(super) fn new(board: Board) -> Self {
        Self {
            board,
            written: Mutex::default(),
        }
    }

    /// Answers, whatever is asked.
    pub(super) fn answer(&self, question: Question<'_>) -> Answer {
        let answer = self.find(question);
        let mut answer = answer.unwrap_or_else(|(status, problem)| object(status, &problem));
        let is_known = |tag: &String| {
            let known = question.headers.get_all(IF_NONE_MATCH).iter();
            known.filter_map(|value| value.to_str().ok()).any(|value| {
                let mut tags = value.split(',').map(str::trim);
                tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
            })
        };
        if answer.status == StatusCode::OK && answer.tag.as_ref().is_some_and(is_known) {
            answer.status = StatusCode::NOT_MODIFIED;
            answer.body = Bytes::new();
        }
        answer
    }

    fn find(&self, question: Question<'_>) -> Result<Answer, Refused> {
        admit(question)?;
        let path = question.uri.path();
        let way = Way::ALL.into_iter().find(|way| way.path() == path);
        let way = way.ok_or_else(|| {
            let problem = Problem::new(
                "not_found",
                "nothing is here; /manifest says what can be asked",
            );
            (StatusCode::NOT_FOUND, problem)
        })?;
        let query = Query::read(question.uri.query().unwrap_or_default(), way.keys())?;
        let source = query.source.as_deref();
        match way {
            Way::Health | Way::Live | Way::Ready => self.health(way, source),
            Way::Manifest => Ok(tagged(object(
                StatusCode::OK,
                &Manifest::of(self.board.ring().run()),
            ))),
            Way::Events => self.events(&query),
            Way::Snapshot | Way::Metrics => {
                let key = format!("{path} {}", source.unwrap_or_default());
                self.written(key, || match way {
                    Way::Metrics => Ok(self.metrics()),
                    _ => self.snapshot(source),
                })
            }
        }
    }

    fn health(&self, way: Way, source: Option<&str>) -> Result<Answer, Refused> {
        let (now, listed) = (self.board.now(), self.listed(source)?);
        let standings = listed.iter().map(|listed| match listed {
            Listed::Watched(entry) => Standing::of(entry, &entry.handle.latest(), now),
            Listed::Missing(missing) => Standing::missing(missing),
        });
        // Who asks for one source asks by its name.
        let nameless = match source {
            None => self.board.nameless(),
            Some(_) => Vec::new(),
        };
        let health = Health::of(standings.collect(), &nameless, now);
        let good = if way == Way::Live {
            health.live
        } else {
            health.ready
        };
        let status = if good {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Ok(object(status, &health))
    }

    fn snapshot(&self, source: Option<&str>) -> Result<Answer, Refused> {
        let (now, listed) = (self.board.now(), self.listed(source)?);
        let seen: Vec<Seen> = listed.iter().map(|one| Seen::of(one, now)).collect();
        Ok(object(StatusCode::OK, &Snapshot::of(&seen, now)))
    }

    fn metrics(&self) -> Answer {
        Answer {
            status: StatusCode::OK,
            media: text::MEDIA,
            tag: None,
            body: figures(self.board.listed(None), self.board.now()).into(),
        }
    }

    fn events(&self, query: &Query) -> Result<Answer, Refused> {
        let wish = Wish {
            after: query.after.as_deref(),
            limit: query.limit.unwrap_or(EVENTS),
            source: query.source.as_deref(),
        };
        let page = self.board.ring().read(wish).map_err(|lost| {
            let problem = Problem::lost(lost);
            let status = match problem.error() {
                "bad_request" => StatusCode::BAD_REQUEST,
                _ => StatusCode::GONE,
            };
            (status, problem)
        })?;
        Ok(tagged(object(StatusCode::OK, &Reading::of(&page))))
    }

    /// The sources that are asked for; a name that nothing is called is no empty answer.
    fn listed(&self, source: Option<&str>) -> Result<Vec<Listed>, Refused> {
        let listed = self.board.listed(source);
        if source.is_some() && listed.is_empty() {
            let problem = Problem::new("not_found", "no source of this name is watched here");
            return Err((StatusCode::NOT_FOUND, problem));
        }
        Ok(listed)
    }

    /// What is much to write, or what was written a moment ago.
    fn written(
        &self,
        key: String,
        write: impl FnOnce() -> Result<Answer, Refused>,
    ) -> Result<Answer, Refused> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|(_, at, _)| at.elapsed() < ANEW);
        if let Some((_, _, answer)) = written.iter().find(|(of, _, _)| *of == key) {
            return Ok(answer.clone());
        }
        let answer = write()?;
        if written.len() < KEPT {
            written.push((key, Instant::now(), answer.clone()));
        }
        Ok(answer)
    }
}

/// Whether this is asked at all by somebody who may.
fn admit(question: Question<'_>) -> Result<(), Refused> {
    let mut hosts = question.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(bad("more than one Host header"));
    }
    // Where the whole address is asked for, that is what counts; the header must not say otherwise either.
    let authority = question
        .uri
        .authority()
        .map(hyper::http::uri::Authority::as_str);
    let named = host.map(|host| host.to_str().unwrap_or("?"));
    let forbidden = named
        .into_iter()
        .chain(authority)
        .any(|host| !is_ours(host, question.reach));
    if forbidden {
        let problem = Problem::new(
            "forbidden",
            "this Host is not answered: ask by the address itself, or as localhost",
        );
        return Err((StatusCode::FORBIDDEN, problem));
    }
    if named.is_none() && authority.is_none() && question.reach != Reach::Socket {
        return Err(bad("a Host header is missing"));
    }
    if !matches!(*question.method, Method::GET | Method::HEAD) {
        let problem = Problem::new("method_not_allowed", "there is only GET and HEAD");
        return Err((StatusCode::METHOD_NOT_ALLOWED, problem));
    }
    Ok(())
}

impl Query {
    fn read(text: &str, keys: &[&str]) -> Result<Self, Refused> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Cursors and names of sources have no character that is written otherwise there.
            match key {
                key if !keys.contains(&key) => {
                    let known = match keys {
                        [] => "nothing".to_owned(),
                        keys => keys.join(", "),
                    };
                    return Err(bad(format!("behind the question mark stands {known}")));
                }
                "after" => query.after = Some(value.to_owned()).filter(|v| !v.is_empty()),
                "source" => query.source = Some(value.to_owned()),
                _ => {
                    let limit = value.parse().ok().filter(|n| (1..=MOST_EVENTS).contains(n));
                    let wrong = || bad(format!("limit is a number from 1 to {MOST_EVENTS}"));
                    query.limit = Some(limit.ok_or_else(wrong)?);
                }
            }
        }
        Ok(query)
    }
}

fn object(status: StatusCode, object: &impl Serialize) -> Answer {
    let written = serde_json::to_vec(object);
    Answer {
        status: match written {
            Ok(_) => status,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        media: JSON,
        tag: None,
        body: written.map_or_else(|_| Bytes::new(), |text| shown(&text).into()),
    }
}

fn tagged(answer: Answer) -> Answer {
    let tag = format!("\"{:x}-{:016x}\"", answer.body.len(), fnv1a(&answer.body));
    Answer {
        tag: Some(tag),
        ..answer
    }
}
