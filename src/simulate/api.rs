//! The REST routes: what is answered, and with which status.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use serde_json::{Value, json};

use super::fault::spoil;
use super::profile::Feature;
use super::script::Stack;
use super::settings::Origin;
use super::shared::Shared;
use super::stream;
use super::world::{Refusal, Taken, World};

type Simulated = State<Arc<Shared>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TOKEN: HeaderName = HeaderName::from_static("x-pc-token-key");

/// All routes of the newest release; what an older one lacks is turned away at the gate.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/live", get(async || body(&json!({"status": "alive"}))))
        .route("/processes", get(processes))
        .route("/process/{name}", get(process))
        .route("/process/info/{name}", get(info))
        .route("/process/ports/{name}", get(ports))
        .route("/process/logs/{name}", delete(truncate))
        .route("/process/logs/{name}/{end}/{limit}", get(logs))
        .route("/process/logs/ws", get(stream::logs))
        .route("/process/states/ws", get(stream::states))
        .route("/process/start/{name}", post(start))
        .route("/process/stop/{name}", patch(stop))
        .route("/process/restart/{name}", post(restart))
        .route("/process/scale/{name}/{scale}", patch(scale))
        .route("/process/signal/{name}/{signal}", patch(signal))
        .route("/processes/stop", patch(stop_many))
        .route("/namespace/start/{name}", post(namespace_start))
        .route("/namespace/stop/{name}", post(namespace_stop))
        .route("/namespace/restart/{name}", post(namespace_restart))
        .route("/namespaces", get(namespaces))
        .route("/graph", get(graph))
        .route("/project/state", get(project_state))
        .route("/project/name", get(project_name))
        .route("/project/stop", post(project_stop))
        .route("/project/configuration", post(configuration))
        .route("/hostname", get(hostname))
        .method_not_allowed_fallback(nothing)
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::clone(&shared), gate))
        .layer(from_fn_with_state(Arc::clone(&shared), trouble))
        .with_state(shared)
}

fn text(status: StatusCode, json: String) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], json).into_response()
}

fn body(value: &Value) -> Response {
    text(StatusCode::OK, value.to_string())
}

/// 400 with the one-string body every failure has.
pub(super) fn refuse(why: &str) -> Response {
    text(StatusCode::BAD_REQUEST, json!({"error": why}).to_string())
}

fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "text/plain")],
        "404 page not found",
    )
        .into_response()
}

/// No such route, or a route with a slash too many.
async fn nothing(request: Request) -> Response {
    let path = request.uri().path();
    let first = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    let known = [
        "live",
        "processes",
        "process",
        "namespaces",
        "namespace",
        "graph",
        "project",
        "hostname",
    ]
    .contains(&first);
    let Some(trimmed) = path
        .strip_suffix('/')
        .filter(|p| known && !p.ends_with('/'))
    else {
        return not_found();
    };
    let to = request
        .uri()
        .query()
        .map_or_else(|| trimmed.to_owned(), |query| format!("{trimmed}?{query}"));
    let status = if request.method() == Method::GET {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::TEMPORARY_REDIRECT
    };
    (status, [(header::LOCATION, to)]).into_response()
}

/// Turns away whoever has no token, and whatever this release does not have.
async fn gate(State(shared): Simulated, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let needed = match path {
        "/namespaces" => Some(Feature::Namespaces),
        "/graph" => Some(Feature::Schedule),
        "/process/states/ws" => Some(Feature::Stream),
        "/project/name" => Some(Feature::ProjectName),
        _ if path.starts_with("/namespace/") => Some(Feature::Namespaces),
        _ if path.starts_with("/process/signal/") => Some(Feature::Signal),
        _ if request.method() == Method::DELETE => Some(Feature::RunningKey),
        _ => None,
    };
    let (guarded, lacking) = shared.act(|world| {
        let lacking = needed.is_some_and(|f| !world.has(f))
            || (path == "/hostname" && world.has(Feature::ProjectName));
        (world.has(Feature::Token), lacking)
    });
    if let Some(token) = shared.token.as_ref().filter(|_| guarded)
        && request
            .headers()
            .get(TOKEN)
            .is_none_or(|given| given.as_bytes() != token.0.as_bytes())
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if lacking {
        not_found()
    } else {
        next.run(request).await
    }
}

async fn trouble(State(shared): Simulated, request: Request, next: Next) -> Response {
    match shared.meets(request.uri().path()) {
        Some(fault) => spoil(fault, request, next).await,
        None => next.run(request).await,
    }
}

async fn processes(State(shared): Simulated) -> Response {
    let states = shared.act(World::look_at_all);
    text(
        StatusCode::OK,
        format!("{{\"data\":[{}]}}", states.join(",")),
    )
}

async fn process(State(shared): Simulated, Path(name): Path<String>) -> Response {
    let state = shared.act(|world| match world.names.get(&name).copied() {
        Some(key) => world.look(key),
        None => world.ghost(&name),
    });
    state.map_or_else(
        || {
            refuse(&format!(
                "can't get state of process {name}: no such process"
            ))
        },
        |state| text(StatusCode::OK, state),
    )
}

async fn info(State(shared): Simulated, Path(name): Path<String>) -> Response {
    let info = shared.act(|world| world.info(&name));
    info.map_or_else(
        || refuse(&format!("no such process: {name}")),
        |info| body(&info),
    )
}

async fn ports(State(shared): Simulated, Path(name): Path<String>) -> Response {
    let up = shared.act(|world| {
        world
            .names
            .get(&name)
            .and_then(|key| world.processes.get(key))
            .map(|p| p.shown.status.is_up())
    });
    match up {
        Some(true) => body(&json!({"name": name, "tcp_ports": [], "udp_ports": []})),
        Some(false) => refuse(&format!("can't get ports: process {name} is not running")),
        None => refuse(&format!("no such process: {name}")),
    }
}

async fn logs(
    State(shared): Simulated,
    Path((name, end, limit)): Path<(String, String, String)>,
) -> Response {
    let (end, limit) = match (number(&end), number(&limit)) {
        (Ok(end), Ok(limit)) => (
            usize::try_from(end).unwrap_or(0),
            usize::try_from(limit).unwrap_or(0),
        ),
        (Err(why), _) | (_, Err(why)) => return refuse(&why),
    };
    let found = shared.act(|world| {
        let lines = world
            .names
            .get(&name)
            .and_then(|key| world.processes.get(key))
            .map(|p| p.lines.iter().cloned().collect::<Vec<_>>());
        (lines, world.has(Feature::LogsFromEnd))
    });
    let (Some(lines), from_end) = found else {
        return refuse(&format!("process {name} doesn't exist"));
    };
    let range = if from_end {
        let last = lines.len().saturating_sub(end);
        let first = if limit == 0 {
            0
        } else {
            last.saturating_sub(limit)
        };
        first..last
    } else {
        let first = lines.len().saturating_sub(end);
        let last = if limit == 0 {
            lines.len()
        } else {
            first + limit
        };
        // The old code reached beyond its buffer here, and the handler died.
        if last > lines.len() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        first..last
    };
    body(&json!({"logs": lines[range]}))
}

fn number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

/// Asks the world, waits for the answer if there is one to come, and says whom it concerned.
async fn done(
    shared: &Shared,
    name: &str,
    deed: impl FnOnce(&mut World) -> Result<Taken, Refusal>,
) -> Response {
    match shared.ask(deed) {
        Err(refusal) => refuse(&refusal.to_string()),
        Ok(waiter) => {
            if let Some(waiter) = waiter
                && waiter.await.is_err()
            {
                // The server left before it was done; nobody will be told.
                return std::future::pending().await;
            }
            body(&json!({"name": name}))
        }
    }
}

async fn start(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.start(&name)).await
}

async fn stop(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.stop(&name)).await
}

async fn restart(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.restart(&name)).await
}

async fn truncate(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.truncate_log(&name)).await
}

async fn scale(State(shared): Simulated, Path((name, to)): Path<(String, String)>) -> Response {
    match number(&to) {
        Ok(to) => done(&shared, &name, |world| world.scale(&name, to)).await,
        Err(why) => refuse(&why),
    }
}

async fn signal(
    State(shared): Simulated,
    Path((name, signal)): Path<(String, String)>,
) -> Response {
    match number(&signal) {
        Ok(signal) => done(&shared, &name, |world| world.signal(&name, signal)).await,
        Err(why) => refuse(&why),
    }
}

async fn stop_many(State(shared): Simulated, sent: String) -> Response {
    let names: Vec<String> = match serde_json::from_str(&sent) {
        Ok(names) => names,
        Err(error) => return refuse(&error.to_string()),
    };
    let (mut answers, mut well) = (std::collections::BTreeMap::new(), false);
    let waiter = shared.ask(|world| {
        let (each, all, taken) = world.stop_many(&names);
        (answers, well) = (each, all);
        Ok(taken)
    });
    if let Ok(Some(waiter)) = waiter
        && waiter.await.is_err()
    {
        return std::future::pending().await;
    }
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::MULTI_STATUS
    };
    text(status, json!(answers).to_string())
}

async fn namespace_start(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.namespace_start(&name)).await
}

async fn namespace_stop(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.namespace_stop(&name)).await
}

async fn namespace_restart(State(shared): Simulated, Path(name): Path<String>) -> Response {
    done(&shared, &name, |world| world.namespace_restart(&name)).await
}

async fn namespaces(State(shared): Simulated) -> Response {
    body(&json!(shared.act(|world| world.namespaces())))
}

async fn graph(State(shared): Simulated) -> Response {
    body(&shared.act(|world| world.graph()))
}

async fn project_state(
    State(shared): Simulated,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let memory = query.get("withMemory").is_some_and(|v| v == "true");
    body(&shared.act(|world| world.project_state(memory)))
}

async fn project_name(State(shared): Simulated) -> Response {
    body(&json!({"projectName": shared.act(|world| world.rules.project.clone())}))
}

async fn hostname(State(shared): Simulated) -> Response {
    body(&json!({"name": shared.act(|world| world.host().to_owned())}))
}

async fn project_stop(State(shared): Simulated) -> Response {
    let later = Arc::clone(&shared);
    shared.tasks.spawn(async move {
        // The answer goes out before the shutdown runs.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        later.act(|world| world.shut_down(None));
    });
    body(&json!({"status": "stopped"}))
}

async fn configuration(State(shared): Simulated) -> Response {
    match reread(&shared, None).await {
        Ok(answer) => body(&json!(answer)),
        Err(why) => refuse(&why),
    }
}

/// Reads the stack again, from this file or the one of the start, and takes it.
pub(super) async fn reread(
    shared: &Shared,
    file: Option<&str>,
) -> Result<std::collections::BTreeMap<String, &'static str>, String> {
    let path = match (file, &shared.from) {
        // Beside the first file, as everything a stack file names.
        (Some(file), Origin::File(first)) => first
            .parent()
            .map_or_else(|| file.into(), |folder| folder.join(file)),
        (Some(file), _) => file.into(),
        (None, Origin::File(first)) => first.clone(),
        (None, _) => return Ok(std::collections::BTreeMap::new()),
    };
    let read = tokio::fs::read_to_string(&path)
        .await
        .map_err(|e| e.to_string())?;
    let stack = Stack::parse(&read).map_err(|e| e.to_string())?;
    let mut answer = std::collections::BTreeMap::new();
    let waiter = shared.ask(|world| {
        let (changes, taken) = world.reload(stack);
        answer = changes;
        Ok(taken)
    });
    if let Ok(Some(waiter)) = waiter {
        waiter.await.map_err(|_| "the server left".to_owned())?;
    }
    Ok(answer)
}
