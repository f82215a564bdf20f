//! Receivers on loopback that take, fail, redirect and hang.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Answers one request after the other, each as the next of these says, and the last of them from then on. Told is what
/// came.
fn receiver(answers: &[&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, came) = std::sync::mpsc::channel();
    let answers = answers.to_vec();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let answer = answers.get(number).or(answers.last()).copied().unwrap_or_default();
            let text = read(stream.unwrap(), answer);
            if told.send(text).is_err() {
                return;
            }
        }
    });
    (url, came)
}

fn read(mut stream: TcpStream, answer: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let length = text.split_once("\r\n\r\n").map(|(head, body)| {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        });
        if length == Some(true) {
            break;
        }
        let read = stream.read(&mut bytes).unwrap();
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    let _ = write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    text
}

fn webhook(url: &str) -> Webhook {
    let secret = Some(Secret::new("a secret of some length"));
    let config = WebhookConfig { url: url.to_owned(), secret, timeout: Duration::from_millis(500) };
    Webhook::start_with(config, Duration::from_millis(1)).unwrap()
}

fn settled(webhook: &Webhook) -> Figures {
    let started = Instant::now();
    while webhook.figures().pending > 0 {
        assert!(started.elapsed() < DEADLINE, "{:?}", webhook.figures());
        thread::sleep(Duration::from_millis(2));
    }
    webhook.figures()
}

fn send(webhook: &Webhook) {
    webhook.send("msg_1".to_owned(), b"{\"a\":1}".to_vec());
}

#[test]
fn a_document_arrives_as_it_is_with_its_signature() {
    let (url, came) = receiver(&["204 No Content"]);
    let webhook = webhook(&url);
    send(&webhook);
    let request = came.recv_timeout(DEADLINE).unwrap();
    assert!(
        request.starts_with("POST /hook HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{\"a\":1}"),
        "{request}"
    );
    let header = |name: &str| {
        let rest = request.split(&format!("{name}: ")).nth(1);
        rest.unwrap_or_else(|| panic!("no {name} in {request}")).lines().next().unwrap().to_owned()
    };
    assert_eq!((header("webhook-id"), header("content-type")), ("msg_1".into(), "application/json".into()));
    let timestamp = header("webhook-timestamp").parse().unwrap();
    let expected = Secret::new("a secret of some length").sign("msg_1", timestamp, b"{\"a\":1}");
    assert_eq!(header("webhook-signature"), expected);
    assert_eq!(settled(&webhook), Figures { delivered: 1, ..Figures::default() });
}

#[test]
fn what_fails_is_tried_again() {
    let (url, came) = receiver(&["500 Oh", "429 Later", "200 OK"]);
    let webhook = webhook(&url);
    send(&webhook);
    assert_eq!(settled(&webhook), Figures { delivered: 1, ..Figures::default() });
    assert_eq!(came.try_iter().count(), 3);
}

#[test]
fn what_goes_on_failing_is_given_up() {
    let (url, came) = receiver(&["503 No"]);
    let webhook = webhook(&url);
    send(&webhook);
    assert_eq!(settled(&webhook), Figures { failed: 1, ..Figures::default() });
    assert_eq!(came.try_iter().count(), ATTEMPTS as usize);
}

#[test]
fn a_redirect_is_not_followed_and_a_refusal_not_tried_again() {
    let (elsewhere, visited) = receiver(&["200 OK"]);
    let redirect: &'static str = Box::leak(format!("307 There\r\nlocation: {elsewhere}").into_boxed_str());
    for answer in [redirect, "302 There\r\nlocation: /other", "403 Never"] {
        let (url, came) = receiver(&[answer]);
        let webhook = webhook(&url);
        send(&webhook);
        assert_eq!(settled(&webhook), Figures { failed: 1, ..Figures::default() }, "{answer}");
        assert_eq!(came.try_iter().count(), 1, "{answer}");
    }
    assert_eq!(visited.try_iter().count(), 0);
}

#[test]
fn a_receiver_that_hangs_delays_nobody_who_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook(&format!("http://{}/", listener.local_addr().unwrap()));
    let started = Instant::now();
    (0..QUEUE + 100).for_each(|_| send(&webhook));
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    let figures = webhook.figures();
    assert!((99..=100).contains(&figures.dropped), "{figures:?}");
}

#[test]
fn where_nobody_listens_it_is_given_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let webhook = webhook(&format!("http://{address}/"));
    send(&webhook);
    assert_eq!(settled(&webhook), Figures { failed: 1, ..Figures::default() });
}

#[test]
fn what_is_no_url_is_refused() {
    for url in ["", "hook", "/hook", "ftp://host/", "http://", "http:///x", "https:host"] {
        assert!(matches!(check_url(url), Err(WebhookError::Url(_))), "{url:?}");
    }
    for url in ["http://127.0.0.1:9/hook?token=x", "https://example.org", "http://[::1]/"] {
        check_url(url).unwrap();
    }
}
