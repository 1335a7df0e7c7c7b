//! A context of the `nats` command: a JSON file that says where a broker is and what lets us in.
//!
//! It is read as that command reads it: keys in any case, those that nobody knows passed over, an empty text as good as
//! none, `~` and `$VAR` in paths, and values that refer to a file, a variable or their own `data:`. What that command has
//! others do (`nsc`, 1Password, the certificate store of Windows, a SOCKS proxy) is refused. No value ever stands in an error.

use serde_json::{Map, Value};

use super::settings::{BusSettings, DEFAULT_URL, Pass, Secret, Tls};

mod error;
mod values;

pub use error::ContextError;
pub use values::Around;
use values::{Refers, after, is_key_itself, path_of, refers, resolved};

/// No context is larger than this, in bytes.
pub const LARGEST: usize = 1 << 20;

/// What a file says; nothing is resolved or expanded yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    url: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
    creds: Option<Secret>,
    nkey: Option<Secret>,
    user_jwt: Option<Secret>,
    user_seed: Option<Secret>,
    cert: Option<String>,
    key: Option<String>,
    ca: Option<String>,
    tls_first: bool,
    js_domain: Option<String>,
    js_api_prefix: Option<String>,
    inbox_prefix: Option<String>,
}

/// Whether an address was given beside a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Yes, and it goes before that of the context.
    Given,
    /// No.
    OfContext,
}

const NSC: (&str, &str) = (
    "takes credentials from nsc, which observe does not run",
    "name the server in url and a credentials file in creds",
);
const WINDOWS: (&str, &str) = (
    "takes certificates from the store of Windows, which observe does not read",
    "name files in cert, key and ca",
);

fn unsupported(key: &'static str, (what, fix): (&'static str, &'static str)) -> ContextError {
    ContextError::Unsupported { key, what, fix }
}

impl Context {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for what is no context, and for one that asks for what we do not do.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContextError> {
        if bytes.len() > LARGEST {
            return Err(ContextError::TooLarge);
        }
        // The words of the JSON library may repeat a value, so only the place is taken from it.
        let value = serde_json::from_slice(bytes).map_err(|error| ContextError::NoObject {
            line: error.line(),
            column: error.column(),
        })?;
        let Value::Object(fields) = value else {
            return Err(ContextError::NoObject { line: 1, column: 1 });
        };
        let fields = Fields(fields);
        fields.refuse()?;
        let context = Self {
            url: fields.secret("url")?,
            user: fields.text("user")?,
            password: fields.secret("password")?,
            token: fields.secret("token")?,
            creds: fields.secret("creds")?,
            nkey: fields.secret("nkey")?,
            user_jwt: fields.secret("user_jwt")?,
            user_seed: fields.secret("user_seed")?,
            cert: fields.text("cert")?,
            key: fields.text("key")?,
            ca: fields.text("ca")?,
            tls_first: fields.flag("tls_first")?,
            js_domain: fields.tokens("jetstream_domain")?,
            js_api_prefix: fields.tokens("jetstream_api_prefix")?,
            inbox_prefix: fields.tokens("inbox_prefix")?,
        };
        context.refuse()?;
        Ok(context)
    }

    /// Refuses values that only another program could turn into something.
    fn refuse(&self) -> Result<(), ContextError> {
        let secrets = [
            ("password", &self.password),
            ("token", &self.token),
            ("creds", &self.creds),
            ("nkey", &self.nkey),
            ("user_jwt", &self.user_jwt),
            ("user_seed", &self.user_seed),
        ];
        for (key, secret) in secrets {
            let text = secret.as_ref().map_or("", Secret::reveal);
            if after(text, "nsc://").is_some() {
                return Err(unsupported(key, NSC));
            }
            let is_path = matches!(key, "creds" | "nkey");
            if is_path && is_key_itself(text) {
                // As a path it would be shown where it cannot be read.
                let wanted = "the path of a file, or data:;base64, and behind it its content";
                return Err(ContextError::Wrong { key, wanted });
            }
            if after(text, "op://").is_some() {
                let what = "takes credentials from 1Password, which observe does not ask";
                let fix = "name a file, or a variable as env://NAME";
                return Err(unsupported(key, (what, fix)));
            }
        }
        for (key, path) in [("cert", &self.cert), ("key", &self.key), ("ca", &self.ca)] {
            let text = path.as_deref().unwrap_or_default();
            let others = ["nsc://", "op://", "env://", "data:"];
            if others.iter().any(|other| after(text, other).is_some()) {
                let wanted = "the path of a file";
                return Err(ContextError::Wrong { key, wanted });
            }
        }
        Ok(())
    }

    /// Fills what was not given by what the context says.
    ///
    /// Of several ways to be let in the one that was given counts alone, else that of an address, else the first of user,
    /// credentials, nkey and JWT; a token goes beside it.
    ///
    /// # Errors
    ///
    /// [`ContextError`] where a value refers to something that is not there.
    pub fn under(
        &self,
        given: BusSettings,
        server: Server,
        around: &Around<'_>,
    ) -> Result<BusSettings, ContextError> {
        let mut settings = match server {
            Server::Given => given,
            Server::OfContext => {
                given.at(self.url.as_ref().map_or(DEFAULT_URL, |url| url.reveal()))
            }
        };
        let path = |text: &Option<String>| text.as_deref().map(|text| path_of(text, around));
        let given = settings.tls;
        settings.tls = Tls {
            ca: given.ca.or_else(|| path(&self.ca)),
            cert: given.cert.or_else(|| path(&self.cert)),
            key: given.key.or_else(|| path(&self.key)),
            first: given.first || self.tls_first,
        };
        if settings.js_domain.is_none() && settings.js_api_prefix.is_none() {
            settings.js_domain.clone_from(&self.js_domain);
            if self.js_domain.is_none() {
                settings.js_api_prefix.clone_from(&self.js_api_prefix);
            }
        }
        if settings.inbox_prefix.is_none() {
            settings.inbox_prefix.clone_from(&self.inbox_prefix);
        }
        self.let_in(&mut settings, around)?;
        Ok(settings)
    }

    fn let_in(&self, settings: &mut BusSettings, around: &Around<'_>) -> Result<(), ContextError> {
        let is_user_given = settings.user.is_some();
        let is_other_given =
            settings.token.is_some() || settings.creds.is_some() || settings.nkey.is_some();
        if is_other_given || (is_user_given && self.user.is_none()) {
            return Ok(());
        }
        let by_address = settings.names_user();
        if let Some(user) = &self.user {
            if is_user_given || !by_address {
                settings.user.get_or_insert_with(|| user.clone());
                if settings.password.is_none() {
                    settings.password = resolved("password", self.password.as_ref(), around)?;
                }
            }
        } else {
            self.prove(settings, around)?;
        }
        if !by_address && !is_user_given {
            settings.token = resolved("token", self.token.as_ref(), around)?;
        }
        Ok(())
    }

    /// The ways in that prove who we are by a key.
    fn prove(&self, settings: &mut BusSettings, around: &Around<'_>) -> Result<(), ContextError> {
        if let Some(creds) = &self.creds {
            match refers(creds.reveal()) {
                Refers::Plain(path) | Refers::File(path) => {
                    settings.creds = Some(path_of(path, around));
                }
                _ => {
                    settings.pass = resolved("creds", Some(creds), around)?.map(Pass::Credentials);
                }
            }
        } else if let Some(nkey) = &self.nkey {
            match refers(nkey.reveal()) {
                Refers::Plain(path) | Refers::File(path) => {
                    settings.nkey = Some(path_of(path, around));
                }
                _ => settings.pass = resolved("nkey", Some(nkey), around)?.map(Pass::Seed),
            }
        } else if let Some(jwt) = resolved("user_jwt", self.user_jwt.as_ref(), around)? {
            let seed = resolved("user_seed", self.user_seed.as_ref(), around)?;
            settings.pass = Some(Pass::Jwt { jwt, seed });
        }
        Ok(())
    }
}

/// The object of a file.
struct Fields(Map<String, Value>);

impl Fields {
    /// The value of a key in any case; the very key goes before others.
    fn get(&self, key: &str) -> Option<&Value> {
        let other = || {
            self.0
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
        };
        let value = self.0.get(key).or_else(|| Some(other()?.1));
        value.filter(|value| !value.is_null())
    }

    /// A text that says something.
    fn text(&self, key: &'static str) -> Result<Option<String>, ContextError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(ContextError::Wrong {
                key,
                wanted: "a text",
            }),
        }
    }

    fn secret(&self, key: &'static str) -> Result<Option<Secret>, ContextError> {
        Ok(self.text(key)?.map(Secret::new))
    }

    fn flag(&self, key: &'static str) -> Result<bool, ContextError> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ContextError::Wrong {
                key,
                wanted: "true or false",
            }),
        }
    }

    /// What becomes the beginning of subjects, and must not be able to break out of them.
    fn tokens(&self, key: &'static str) -> Result<Option<String>, ContextError> {
        let text = self.text(key)?;
        let is_fit = |text: &str| {
            let unfit = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '*' | '>');
            let tokens = text.strip_suffix('.').unwrap_or(text);
            !text.contains(unfit) && !tokens.split('.').any(str::is_empty)
        };
        if text.as_deref().is_none_or(is_fit) {
            return Ok(text);
        }
        let wanted = "the first tokens of a subject, without wildcards";
        Err(ContextError::Wrong { key, wanted })
    }

    /// Refuses what we do not do.
    fn refuse(&self) -> Result<(), ContextError> {
        if self.text("nsc")?.is_some() {
            return Err(unsupported("nsc", NSC));
        }
        for key in [
            "windows_cert_store",
            "windows_cert_match",
            "windows_cert_match_by",
        ] {
            if self.text(key)?.is_some() {
                return Err(unsupported(key, WINDOWS));
            }
        }
        let key = "windows_ca_certs_match";
        match self.get(key) {
            None => {}
            Some(Value::Array(all)) if all.is_empty() => {}
            Some(_) => return Err(unsupported(key, WINDOWS)),
        }
        if self.text("socks_proxy")?.is_some() {
            let what = "goes through a proxy, which observe does not speak to";
            let fix = "name an address in url that can be reached from here";
            return Err(unsupported("socks_proxy", (what, fix)));
        }
        Ok(())
    }
}

#[cfg(any(test, fuzzing))]
impl Context {
    /// The same with other secrets.
    pub(super) fn with_secrets_replaced(&self) -> Self {
        let other = |secret: &Option<Secret>| secret.as_ref().map(|_| Secret::new("other"));
        Self {
            url: other(&self.url),
            password: other(&self.password),
            token: other(&self.token),
            creds: other(&self.creds),
            nkey: other(&self.nkey),
            user_jwt: other(&self.user_jwt),
            user_seed: other(&self.user_seed),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
