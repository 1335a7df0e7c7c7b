//! Questions to the JetStream API: asked as JSON of our own, so that fields this build does not know survive a change.

use async_nats::RequestErrorKind;
use async_nats::client::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::connect::{ANSWER, Bus, CALL};
use super::error::{BusError, Refusal, clean};
use super::link::Denial;

/// Codes of the API that are told apart here.
pub(super) mod code {
    pub(crate) const ACCOUNT_FULL: u32 = 10002;
    pub(crate) const ACCOUNT_WITHOUT_JETSTREAM: u32 = 10039;
    pub(crate) const BATCH_DISABLED: u32 = 10174;
    pub(crate) const BATCH_INCOMPLETE: u32 = 10176;
    pub(crate) const BATCH_TOO_LARGE: u32 = 10199;
    pub(crate) const CONSUMER_NOT_FOUND: u32 = 10014;
    pub(crate) const FENCE: u32 = 10071;
    pub(crate) const FENCE_IN_FLIGHT: u32 = 10164;
    pub(crate) const INSUFFICIENT_RESOURCES: u32 = 10023;
    pub(crate) const INSUFFICIENT_STORAGE: u32 = 10047;
    pub(crate) const MESSAGE_TOO_LARGE: u32 = 10054;
    pub(crate) const NAME_IN_USE: u32 = 10058;
    pub(crate) const NO_MESSAGE: u32 = 10037;
    pub(crate) const OTHER_STREAM: u32 = 10060;
    pub(crate) const ROLLUP_FORBIDDEN: u32 = 10111;
    pub(crate) const SERVER_WITHOUT_JETSTREAM: u32 = 10076;
    pub(crate) const STORE_FAILED: u32 = 10077;
    pub(crate) const STREAM_CREATE_FAILED: u32 = 10049;
    pub(crate) const STREAM_NOT_FOUND: u32 = 10059;
    pub(crate) const SUBJECTS_OVERLAP: u32 = 10065;
    pub(crate) const TOO_MANY_BATCHES: u32 = 10210;
    pub(crate) const TTL_DISABLED: u32 = 10166;

    /// Whether a broker that commits a batch may have stopped with this in the middle of it.
    pub(crate) fn stops_halfway(code: u32) -> bool {
        is_full(code) || code == STORE_FAILED
    }

    /// Whether the account or the disk has no room; it may have some later.
    pub(crate) fn is_full(code: u32) -> bool {
        matches!(
            code,
            ACCOUNT_FULL | INSUFFICIENT_STORAGE | INSUFFICIENT_RESOURCES
        )
    }
}

/// An error as the API words it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    pub(super) code: u32,
    pub(super) err_code: u32,
    pub(super) description: String,
}

impl Fault {
    pub(super) fn text(&self) -> String {
        format!("{} ({})", clean(&self.description), self.err_code)
    }
}

/// Why a question got no good answer.
#[derive(Debug)]
pub(super) enum ApiError {
    Denied(Denial),
    /// Nobody listens: JetStream is off, or a leader is being elected.
    NobodyListens,
    Away,
    TimedOut(String),
    Fault(Fault),
    Odd(String),
}

impl ApiError {
    pub(super) fn err_code(&self) -> u32 {
        match self {
            Self::Fault(fault) => fault.err_code,
            _ => 0,
        }
    }

    /// The error of one who has no finer word; `doing` says what was asked.
    pub(super) fn into_bus(self, bus: &Bus, doing: &str) -> BusError {
        match self {
            Self::Denied(denial) => denial.refusal().into(),
            Self::NobodyListens if bus.lacks_jetstream() => {
                no_jetstream("the broker", bus.at()).into()
            }
            Self::NobodyListens => BusError::Busy(format!("nobody answers when asked to {doing}")),
            Self::Away => bus.away(),
            Self::TimedOut(why) => BusError::Unknown(format!("{why} when asked to {doing}")),
            Self::Fault(fault) => judge(&fault, bus.at(), doing),
            Self::Odd(why) => BusError::Unknown(format!(
                "an answer that cannot be read ({why}) when asked to {doing}"
            )),
        }
    }
}

fn judge(fault: &Fault, at: &str, doing: &str) -> BusError {
    match (fault.err_code, fault.code) {
        (code::ACCOUNT_WITHOUT_JETSTREAM, _) => {
            no_jetstream("this account on the broker", at).into()
        }
        (code::SERVER_WITHOUT_JETSTREAM, _) => no_jetstream("the broker", at).into(),
        (_, 429 | 500..) => BusError::Busy(fault.text()),
        _ => Refusal::new(
            format!("the broker at {at} will not {doing}: {}", fault.text()),
            "a broker that does",
            "ask whoever runs it",
        )
        .into(),
    }
}

fn no_jetstream(who: &str, at: &str) -> Refusal {
    Refusal::new(
        format!("{who} at {at} has no JetStream"),
        "JetStream, where events are kept",
        "start nats-server with -js (or enable it for the account), or use another broker by --server",
    )
}

impl Bus {
    /// Asks one question.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        suffix: &str,
        body: &Value,
    ) -> Result<T, ApiError> {
        if !self.is_connected() {
            return Err(ApiError::Away);
        }
        let subject = self.api_subject(suffix);
        let payload = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let mark = self.mark();
        let request = Request::new().payload(payload.into()).timeout(Some(ANSWER));
        let answer = tokio::select! {
            biased;
            answer = timeout(CALL, self.client().send_request(subject, request)) => answer,
            denial = self.denied(mark, |denied| self.is_question(denied, suffix)) => return Err(ApiError::Denied(denial)),
            () = self.lost() => return Err(ApiError::TimedOut("the connection broke".to_owned())),
        };
        let message = match answer {
            Ok(Ok(message)) => message,
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                return Err(ApiError::NobodyListens);
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::TimedOut => return Err(no_answer()),
            Ok(Err(error)) => return Err(ApiError::TimedOut(clean(&error.to_string()))),
            Err(_) => return Err(no_answer()),
        };
        decode(&message.payload)
    }
}

fn no_answer() -> ApiError {
    ApiError::TimedOut(format!("no answer within {} s", ANSWER.as_secs()))
}

pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ApiError> {
    #[derive(Deserialize)]
    struct Judged {
        error: Option<Fault>,
    }
    let odd = |error: serde_json::Error| ApiError::Odd(clean(&error.to_string()));
    // Most answers are none of an error, and need not be read twice to know that.
    let is_fine = |text: &str| !text.contains("\"error\"") && !text.contains('\\');
    if str::from_utf8(payload).is_ok_and(is_fine) {
        return serde_json::from_slice(payload).map_err(odd);
    }
    if let Some(fault) = serde_json::from_slice::<Judged>(payload)
        .map_err(odd)?
        .error
    {
        return Err(ApiError::Fault(fault));
    }
    serde_json::from_slice(payload).map_err(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_however_its_key_is_written_and_a_word_is_none() {
        for text in [
            r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
            r#"{"\u0065rror":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        ] {
            let found = decode::<Value>(text.as_bytes());
            assert!(matches!(found, Err(ApiError::Fault(_))), "{text}");
        }
        for text in [r#"{"word":"error"}"#, r#"{"other":1}"#] {
            assert!(decode::<Value>(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_answer_is_either_a_fault_or_what_was_asked_for() {
        let fault = decode::<Value>(
            br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
        );
        assert!(
            matches!(fault, Err(ApiError::Fault(fault)) if fault.err_code == code::STREAM_NOT_FOUND)
        );
        assert!(matches!(decode::<Value>(b"<html>"), Err(ApiError::Odd(_))));
        assert_eq!(decode::<Value>(br#"{"a":1}"#).unwrap()["a"], 1);
    }

    #[test]
    fn faults_are_waited_out_or_refused() {
        let fault = |code, err_code| Fault {
            code,
            err_code,
            description: "d".into(),
        };
        for (code, err_code, waits) in [
            (503, 10008, true),
            (429, 10210, true),
            (500, 10077, true),
            (503, 10039, false),
            (503, 10076, false),
            (400, 10052, false),
        ] {
            assert_eq!(
                judge(&fault(code, err_code), "h", "do").retry_helps(),
                waits,
                "{err_code}"
            );
        }
    }
}
