use super::*;

#[test]
fn an_endpoint_shows_neither_user_nor_control_characters() {
    assert!(matches!(
        BaseUrl::parse("http://u:p@host/"),
        Err(SettingsError::UrlUser)
    ));
    let socket = Endpoint::Unix("/tmp/a\u{1b}[31m.sock".into());
    assert!(!socket.to_string().contains('\u{1b}'));
    let url = BaseUrl::parse(" https://edge.example/pc/ ").unwrap();
    assert_eq!(url.to_string(), "https://edge.example/pc");
    assert_eq!(
        (url.host(), url.port(), url.is_tls()),
        ("edge.example", 443, true)
    );
}

#[test]
fn a_v6_address_gets_its_brackets_back() {
    let tcp = Endpoint::Tcp {
        host: "::1".into(),
        port: 9,
    };
    assert_eq!(tcp.to_string(), "[::1]:9");
    let url = BaseUrl::parse("http://[::1]:8080").unwrap();
    assert_eq!((url.host(), url.port()), ("::1", 8080));
}

#[test]
fn an_endpoint_is_read_back_from_what_is_shown_of_it() {
    for text in [
        "localhost:8080",
        "[::1]:9",
        "/run/pc.sock",
        "https://edge.example/pc",
        "http://[::1]:8080",
    ] {
        let endpoint = Endpoint::read(text);
        assert_eq!(endpoint.map(|it| it.to_string()).as_deref(), Some(text));
    }
    for text in ["", "host", "host:0", ":80", "pc.sock", "ftp://x", "host:x"] {
        assert_eq!(Endpoint::read(text), None, "{text}");
    }
}

#[test]
fn odd_urls_are_refused() {
    for text in [
        "",
        "host",
        "ftp://host",
        "http://",
        "unix:///x",
        "http://host/?a=b",
        "http:///x",
    ] {
        assert!(BaseUrl::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_token_is_trimmed_and_never_shown() {
    let mut settings = Settings::new(Endpoint::standard());
    settings.token = Some(TokenSource::Value(Secret::new(" s3cret-s3cret-s3cret\n")));
    assert!(!format!("{settings:?}").contains("s3cret"));
    let reader = TokenReader::new(settings.token).unwrap();
    assert!(!format!("{reader:?}").contains("s3cret"));
    assert_eq!(reader.current().unwrap(), "s3cret-s3cret-s3cret");
}

#[test]
fn a_token_file_is_read_again_and_an_emptied_one_is_not_believed() {
    let path = std::env::temp_dir().join(format!("observe-token-{}", std::process::id()));
    std::fs::write(&path, "first\n").unwrap();
    let reader = TokenReader::new(Some(TokenSource::File(path.clone()))).unwrap();
    assert_eq!(reader.current().unwrap(), "first");
    std::fs::write(&path, "second\n").unwrap();
    assert_eq!(reader.current().unwrap(), "second");
    std::fs::write(&path, "").unwrap();
    assert_eq!(reader.current().unwrap(), "second");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(
        TokenReader::new(Some(TokenSource::File(path))),
        Err(SettingsError::TokenFile { .. })
    ));
}

#[test]
fn a_token_that_no_header_carries_is_refused() {
    let source = Some(TokenSource::Value(Secret::new("a\u{1}b")));
    assert!(matches!(
        TokenReader::new(source),
        Err(SettingsError::TokenCharacters)
    ));
}
