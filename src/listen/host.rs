//! Whom one answers. Pure.
//!
//! A web page may ask any address for anything, and it may have a name of its own that leads to ours; what it then asks
//! carries that name. So a name that somebody else could own is not answered. A socket cannot be reached by a page.

use std::net::IpAddr;

/// Who may reach a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Programs that can open a file.
    Socket,
    /// Programs of this machine.
    Loopback,
    /// Others, too.
    Open,
}

/// Whether what was asked under this name is answered. Addresses are, and names that nobody else can own: `localhost`,
/// and, where others are meant to reach us, names without a dot, which are those of their own network.
pub(super) fn is_ours(host: &str, reach: Reach) -> bool {
    if reach == Reach::Socket {
        return true;
    }
    let Some(name) = name_of(host) else {
        return false;
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return match reach {
            Reach::Loopback => address.is_loopback(),
            _ => true,
        };
    }
    let name = name.to_ascii_lowercase();
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local || (reach == Reach::Open && is_word && !name.is_empty())
}

/// The name without the port.
fn name_of(host: &str) -> Option<&str> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return is_port(port).then_some(address);
    }
    let end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at(end);
    is_port(port).then_some(name)
}

fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_own_are_answered() {
        use Reach::{Loopback, Open, Socket};
        for (host, loopback, open) in [
            ("localhost", true, true),
            ("LocalHost:9100", true, true),
            ("shop.localhost:9100", true, true),
            ("127.0.0.1:9100", true, true),
            ("127.8.9.1", true, true),
            ("[::1]:9100", true, true),
            ("10.0.0.7:9100", false, true),
            ("[2001:db8::1]", false, true),
            ("observe:9100", false, true),
            ("evil.example", false, false),
            ("localhost.evil.example:9100", false, false),
            ("evil.example:80@localhost", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("evillocalhost", false, true),
            ("localhost:x", false, false),
            ("[::1", false, false),
            ("::1", false, false),
            ("a b", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_ours(host, Loopback), loopback, "{host:?}");
            assert_eq!(is_ours(host, Open), open, "{host:?}");
            assert!(is_ours(host, Socket));
        }
    }
}
