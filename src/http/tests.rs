//! Against a server that answers whatever the test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers the n-th request with the n-th of `answers` (the last one for all that follow) and returns its
/// address; nothing at all for an empty answer. Requests are counted.
async fn server(answers: Vec<String>) -> (String, Arc<AtomicUsize>, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (count, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Vec::new())));
    let (counter, log) = (Arc::clone(&count), Arc::clone(&heard));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answers, counter, log) = (answers.clone(), Arc::clone(&counter), Arc::clone(&log));
            tokio::spawn(async move {
                let mut request = vec![0; 65536];
                let size = stream.read(&mut request).await.unwrap_or(0);
                if size == 0 {
                    return;
                }
                log.lock().unwrap().push(String::from_utf8_lossy(&request[..size]).into_owned());
                let index = counter.fetch_add(1, Ordering::SeqCst);
                let answer = &answers[index.min(answers.len() - 1)];
                if answer == "silence" {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, count, heard)
}

fn says(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn request(method: &str, url: &str) -> Request {
    Request {
        method: method.into(),
        url: address(url).unwrap(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(20),
        attempts: 3,
        max_bytes: 1000,
        repeatable: is_idempotent(method),
        conceal: false,
    }
}

fn client() -> Client {
    Client::new(Retry { base: Duration::from_millis(1), ..Retry::default() })
}

async fn send(request: &Request) -> Result<Answer> {
    client().send(request, &CancellationToken::new()).await
}

#[tokio::test]
async fn an_answer_comes_whole_whatever_its_status() {
    let (url, _, heard) =
        server(vec![says(404, "X-Why: none\r\ncontent-type: application/json\r\n", "{\"a\":1}")]).await;
    let mut asked = request("POST", &format!("{url}/path?x=1"));
    asked.headers.push(("X-Token".into(), "t".into()));
    asked.body = b"hello".to_vec();
    let answer = send(&asked).await.unwrap();
    assert_eq!((answer.status, answer.is_ok(), answer.code().as_str()), (404, false, "Http404"));
    assert_eq!(
        (answer.header("x-why"), answer.text().as_str(), answer.is_json()),
        (Some("none"), "{\"a\":1}", true)
    );
    let heard = heard.lock().unwrap()[0].to_lowercase();
    assert!(heard.starts_with("post /path?x=1 http/1.1") && heard.contains("x-token: t"), "{heard}");
    assert!(heard.contains("content-length: 5") && heard.ends_with("hello"), "{heard}");
}

#[tokio::test]
async fn what_may_be_repeated_is() {
    for (method, answers, calls, status) in [
        ("GET", vec![says(500, "", ""), says(502, "", ""), says(200, "", "")], 3, 200),
        ("GET", vec![String::new(), says(200, "", "")], 2, 200),
        ("GET", vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into(), says(200, "", "")], 2, 200),
        // Nothing was done, so that it is safe to ask again.
        ("POST", vec![says(503, "", ""), says(429, "retry-after: 0\r\n", ""), says(201, "", "")], 3, 201),
        // Perhaps it was done.
        ("POST", vec![says(500, "", ""), says(200, "", "")], 1, 500),
        ("GET", vec![says(404, "", ""), says(200, "", "")], 1, 404),
        // The last word stands.
        ("GET", vec![says(500, "", "broken")], 3, 500),
    ] {
        let (url, count, _) = server(answers.clone()).await;
        let answer = send(&request(method, &url)).await;
        assert_eq!(answer.map(|answer| answer.status).unwrap(), status, "{method} {answers:?}");
        assert_eq!(count.load(Ordering::SeqCst), calls, "{method} {answers:?}");
    }
    let (url, count, _) = server(vec![String::new()]).await;
    let error = send(&request("POST", &url)).await.unwrap_err();
    assert_eq!((error.code(), count.load(Ordering::SeqCst)), (Some("ConnectionFailed"), 1), "{error}");
}

#[tokio::test]
async fn nobody_listens_and_nobody_answers() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = send(&request("POST", &format!("http://127.0.0.1:{port}/?key=hush"))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Http, Some("ConnectionFailed")));
    assert!(error.message().contains("refused") && !error.message().contains("hush"), "{error}");

    let (url, count, _) = server(vec!["silence".into()]).await;
    let asked = Request { timeout: Duration::from_millis(50), ..request("GET", &url) };
    let error = send(&asked).await.unwrap_err();
    assert_eq!((error.kind(), count.load(Ordering::SeqCst)), (Kind::Timeout, 3), "{error}");

    let cancel = CancellationToken::new();
    let (stop, asked, client) = (cancel.clone(), request("GET", &url), client());
    let call = tokio::spawn(async move { client.send(&asked, &stop).await });
    while count.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert_eq!(call.await.unwrap().unwrap_err().kind(), Kind::Interrupted);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_made() {
    let (url, _, _) = server(vec![says(429, "retry-after: 1\r\n", ""), says(200, "", "")]).await;
    let begun = Instant::now();
    assert!(send(&request("GET", &url)).await.unwrap().is_ok());
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn redirects_are_followed_where_that_is_safe() {
    let (other, _, heard) = server(vec![says(200, "", "there")]).await;
    let (url, _, _) = server(vec![says(302, &format!("location: {other}/b\r\n"), "")]).await;
    let mut asked = request("GET", &url);
    asked.headers.extend([("Authorization".into(), "Bearer hush".into()), ("X-Plain".into(), "p".into())]);
    let answer = send(&asked).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.url.path()), ("there", "/b"));
    let heard = heard.lock().unwrap()[0].to_lowercase();
    assert!(heard.contains("x-plain") && !heard.contains("hush"), "{heard}");
    let unsafe_one = Request { repeatable: false, ..request("POST", &url) };
    assert_eq!(send(&unsafe_one).await.unwrap().status, 302);
    let (round, count, _) = server(vec![says(302, "location: /again\r\n", "")]).await;
    let error = send(&request("GET", &round)).await.unwrap_err();
    assert_eq!((error.code(), count.load(Ordering::SeqCst)), (Some("TooManyRedirects"), REDIRECTS + 1));
}

#[tokio::test]
async fn answers_are_bounded_and_headers_checked() {
    let (url, _, _) = server(vec![says(200, "", &"x".repeat(1001))]).await;
    let error = send(&request("GET", &url)).await.unwrap_err();
    assert_eq!(error.code(), Some("AnswerTooLarge"), "{error}");
    for name in ["", "a b", "Host", "content-length", "ü", "a\nb"] {
        let mut asked = request("GET", &url);
        asked.headers.push((name.into(), "v".into()));
        assert!(send(&asked).await.unwrap_err().message().contains("header"), "{name}");
    }
    let mut asked = request("GET", &url);
    asked.headers.push(("a".into(), "line\r\nbreak: x".into()));
    assert!(send(&asked).await.is_err());
}
