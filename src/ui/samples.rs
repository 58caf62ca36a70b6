//! Events for tests: one of every kind, a whole run, and hosts that mean harm.

use super::*;
use crate::error::Error;

pub(super) fn host(phase: &str, failed: bool) -> Event {
    Event::Host {
        id: "i-0123456789abcdef0".into(),
        region: "us-west-2".into(),
        zone: Some("us-west-2a".into()),
        instance_type: Some("t3.medium".into()),
        address: Some("54.1.2.3".into()),
        phase: phase.into(),
        detail: failed.then(|| "apt-get failed".into()),
        failed,
        hourly: None,
    }
}

pub(super) fn progress(done: u64, total: u64) -> Event {
    Event::Progress { id: 7, title: "deploy.tar.gz".into(), done, total: Some(total), unit: Unit::Bytes }
}

/// One of every kind, in the order of the documentation.
pub(super) fn every_kind() -> Vec<Event> {
    let error = Error::ssh("no session with i-1").with_source(Error::ssh("connection refused"));
    let table = Table {
        title: Some("Fleet".into()),
        columns: vec![Column::left("ID"), Column::right("$/H")],
        rows: vec![vec!["i-1".into(), Cell::marked("0.0125", Level::Warning)]],
        footer: Some("1 instance".into()),
    };
    vec![
        Event::RunStarted {
            recipe: "create".into(),
            origin: "embedded".into(),
            spot_version: "0.1.0".into(),
        },
        Event::Message { level: Level::Success, text: "launched".into(), hint: None },
        Event::Error(Box::new(Failure::new(&error, None, vec![]))),
        Event::StepStarted { id: 1, parent: None, title: "launching".into() },
        Event::StepEnded { id: 1, title: "launched".into(), ok: true, seconds: 12.25, detail: None },
        Event::Output { host: "i-1".into(), stream: Stream::Stderr, line: "Reading package lists".into() },
        progress(0, 100),
        Event::ProgressEnded { id: 7, ok: true },
        host("ready", false),
        Event::Account { account: "123456789012".into() },
        Event::Table(table.clone()),
        Event::Chart(chart(|| "us-west-2a".into())),
        Event::View { id: 8, table },
        Event::ViewEnded { id: 8 },
        Event::Data(serde_json::json!({"ids": ["i-1"]})),
        Event::Call {
            service: "ec2".into(),
            region: "us-west-2".into(),
            action: "RunInstances".into(),
            status: Some(200),
            request_id: Some("8a6b0c1d".into()),
            seconds: 1.5,
            error: None,
        },
        planned_call(),
        Event::PlannedStep {
            namespace: "ssh".into(),
            text: "run `uptime`".into(),
            hosts: vec!["i-?1".into()],
        },
        plan_ended(),
        Event::RunEnded { recipe: "create".into(), ok: true, exit_code: 0, seconds: 83.0, timeline: vec![] },
    ]
}

pub(super) fn chart(text: impl Fn() -> String) -> Chart {
    Chart {
        title: Some(text()),
        unit: Some(text()),
        series: vec![Series { label: text(), values: vec![Some(0.25), None, Some(1.0)] }],
        footer: Some(text()),
    }
}

pub(super) fn planned_call() -> Event {
    Event::PlannedCall {
        service: "ec2".into(),
        region: "us-west-2".into(),
        action: "RunInstances".into(),
        summary: "2 × t3.medium spot in subnet-?1".into(),
        parameters: serde_json::json!({"InstanceType": "t3.medium", "MaxCount": "2"}),
        permission: None,
    }
}

pub(super) fn plan_ended() -> Event {
    Event::PlanEnded {
        complete: true,
        calls: [("CreateVpc".to_owned(), 1), ("RunInstances".to_owned(), 2)].into(),
        steps: 3,
        hourly: Some(0.0375),
        unknown: vec!["a.rhai:12:8 (i-?1)".into()],
        refused: 0,
    }
}

/// A run that launches one host and fails to set it up.
pub(super) fn run() -> Vec<Event> {
    let error = Error::script("1 of 1 hosts failed")
        .with_code("PartialFailure")
        .with_hint("look: spot logs i-0123456789abcdef0");
    vec![
        Event::RunStarted {
            recipe: "create".into(),
            origin: "embedded".into(),
            spot_version: "0.1.0".into(),
        },
        Event::StepStarted { id: 1, parent: None, title: "launching 1 instance".into() },
        Event::message(Level::Debug, "RunInstances RequestId 4f1c"),
        host("launching", false),
        Event::StepEnded {
            id: 1,
            title: "launching 1 instance".into(),
            ok: true,
            seconds: 2.25,
            detail: Some("us-west-2a".into()),
        },
        host("setup", false),
        host("setup", false),
        Event::Output {
            host: "i-0123456789abcdef0".into(),
            stream: Stream::Stdout,
            line: "10%\r\u{1b}[32mdone\u{1b}[0m".into(),
        },
        host("setup", true),
        Event::Message {
            level: Level::Warning,
            text: "one host less than asked for".into(),
            hint: Some("spot create --count 1".into()),
        },
        Event::Error(Box::new(Failure::new(&error, None, vec![]))),
        Event::RunEnded {
            recipe: "create".into(),
            ok: false,
            exit_code: 3,
            seconds: 83.0,
            timeline: vec![("launch".into(), 2.25), ("setup".into(), 80.0)],
        },
    ]
}

/// Events whose every text tries to take over the terminal.
pub(super) fn evil() -> Vec<Event> {
    let evil = || "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}1A\r00:00:00 ok all is well\u{8}\u{202e}".to_owned();
    let lines = || format!("{}\nsecond", evil());
    let error = Error::ssh(lines()).with_code(evil()).with_hint(lines()).with_source(Error::ssh(evil()));
    let source = SourceFrame { origin: lines(), line: 1, column: 3, text: lines(), length: 2 };
    let view = Table {
        title: Some(lines()),
        columns: vec![Column::left(lines())],
        rows: vec![vec![lines().into()]],
        footer: Some(lines()),
    };
    let frame = CallFrame { function: lines(), origin: lines(), line: 1, column: 1 };
    vec![
        Event::RunStarted { recipe: lines(), origin: lines(), spot_version: lines() },
        Event::Message { level: Level::Info, text: lines(), hint: Some(lines()) },
        Event::Error(Box::new(Failure::new(&error, Some(source), vec![frame]))),
        Event::StepStarted { id: 1, parent: None, title: lines() },
        Event::StepEnded { id: 1, title: lines(), ok: true, seconds: 1.0, detail: Some(lines()) },
        Event::Output { host: lines(), stream: Stream::Stdout, line: lines() },
        Event::Progress { id: 1, title: lines(), done: 1, total: None, unit: Unit::Items },
        Event::ProgressEnded { id: 1, ok: true },
        Event::Host {
            id: lines(),
            region: lines(),
            zone: Some(lines()),
            instance_type: Some(lines()),
            address: Some(lines()),
            phase: lines(),
            detail: Some(lines()),
            failed: true,
            hourly: Some(1.0),
        },
        Event::PlannedCall {
            service: lines(),
            region: lines(),
            action: lines(),
            summary: lines(),
            parameters: serde_json::json!({ "Name": lines() }),
            permission: Some(lines()),
        },
        Event::Account { account: lines() },
        Event::Chart(chart(lines)),
        Event::View { id: 9, table: view },
        Event::ViewEnded { id: 9 },
        Event::PlannedStep { namespace: lines(), text: lines(), hosts: vec![lines()] },
        Event::Call {
            service: lines(),
            region: lines(),
            action: lines(),
            status: None,
            request_id: Some(lines()),
            seconds: 1.0,
            error: Some(lines()),
        },
        Event::RunEnded {
            recipe: lines(),
            ok: true,
            exit_code: 0,
            seconds: 1.0,
            timeline: vec![(lines(), 1.0)],
        },
    ]
}
