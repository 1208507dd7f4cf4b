//! The real Kafka Connect as an oracle: random questions go to its own classes and to `tidegate try --vectors`, and answers that
//! differ come back as one line each, as small as they could be made.

mod compare;
mod generate;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Java;
use generate::Questions;

/// Somebody who answers each line with a line.
struct Answers {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Answers {
    fn of(mut command: Command) -> Result<Answers> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("there is an output")?);
        Ok(Answers { child, stdin, stdout })
    }

    fn ask(&mut self, questions: &[Value]) -> Result<Vec<Value>> {
        let text: String = questions.iter().map(|question| format!("{question}\n")).collect();
        let (mut stdin, stdout) = (self.stdin.take().context("it listens")?, &mut self.stdout);
        // The answers are read while the questions are written: neither side has room for all.
        let answers = std::thread::scope(|scope| {
            let writing = scope.spawn(move || stdin.write_all(text.as_bytes()).map(|()| stdin));
            let answers: Result<Vec<Value>> = questions
                .iter()
                .map(|question| {
                    let mut line = String::new();
                    stdout.read_line(&mut line)?;
                    serde_json::from_str(&line).with_context(|| format!("no answer but {line:?} to {question}"))
                })
                .collect();
            let stdin = writing.join().map_err(|_| anyhow::anyhow!("writing crashed"))??;
            Ok::<_, anyhow::Error>((answers?, stdin))
        });
        let (answers, stdin) = answers?;
        self.stdin = Some(stdin);
        Ok(answers)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both sides.
pub struct Oracle {
    connect: Answers,
    ours: Answers,
    asked: usize,
    differences: Vec<String>,
    /// Of differences alike one is enough.
    seen: BTreeSet<String>,
}

/// With so many differences the rest would only repeat them.
const DIFFERENCES_MAX: usize = 20;

impl Oracle {
    /// Starts Connect's side with the given jars, and ours.
    pub fn start(java: &Java, ours: Command) -> Result<Oracle> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/Oracle.java");
        Ok(Oracle {
            connect: Answers::of(java.program(&program)?)?,
            ours: Answers::of(ours)?,
            asked: 0,
            differences: Vec::new(),
            seen: BTreeSet::new(),
        })
    }

    /// Asks about everything that a seed makes, until there were so many questions or the time is over.
    pub fn play(&mut self, seed: u64, count: usize, time: Duration) -> Result<()> {
        let mut questions = Questions::new(seed);
        let (begun, goal) = (Instant::now(), self.asked.saturating_add(count));
        while self.asked < goal && begun.elapsed() < time && self.differences.len() < DIFFERENCES_MAX {
            let mut batch: Vec<Value> = (0..20).flat_map(|_| questions.next()).collect();
            while !batch.is_empty() {
                let connect = self.connect.ask(&batch)?;
                let ours = self.ours.ask(&batch)?;
                self.asked += batch.len();
                for ((question, connect), ours) in batch.iter().zip(&connect).zip(&ours) {
                    if !compare::same(question, connect, ours)
                        && known(question, connect, ours).is_none()
                        && self.seen.insert(kind_of(question, connect, ours))
                    {
                        let smallest = self.shrink(question.clone())?;
                        self.note(&smallest)?;
                    }
                }
                batch = batch
                    .iter()
                    .zip(&connect)
                    .filter_map(|(question, answer)| questions.back(question, answer))
                    .collect();
            }
        }
        Ok(())
    }

    fn answers(&mut self, question: &Value) -> Result<(Value, Value)> {
        let one = std::slice::from_ref(question);
        Ok((self.connect.ask(one)?.remove(0), self.ours.ask(one)?.remove(0)))
    }

    /// Takes parts away from a question for as long as the answers differ.
    fn shrink(&mut self, mut question: Value) -> Result<Value> {
        loop {
            let mut smaller = None;
            for candidate in candidates(&question) {
                let (connect, ours) = self.answers(&candidate)?;
                if !compare::same(&candidate, &connect, &ours) && known(&candidate, &connect, &ours).is_none() {
                    smaller = Some(candidate);
                    break;
                }
            }
            match smaller {
                Some(candidate) => question = candidate,
                None => return Ok(question),
            }
        }
    }

    fn note(&mut self, question: &Value) -> Result<()> {
        let (connect, ours) = self.answers(question)?;
        let answer = |answer: &Value| {
            let answer = answer.as_object().and_then(|members| members.iter().find(|(name, _)| *name != "id"));
            answer.map_or(String::new(), |(name, content)| format!("{name} {content}"))
        };
        self.differences.push(format!("{question}\n  connect  {}\n  tidegate {}", answer(&connect), answer(&ours)));
        Ok(())
    }

    /// How many questions were asked. An error: some were answered differently.
    pub fn verdict(self) -> Result<usize> {
        match self.differences.as_slice() {
            [] => Ok(self.asked),
            differences => bail!("{} of {} answers differ\n{}", differences.len(), self.asked, differences.join("\n")),
        }
    }
}

/// What differences that have one reason mostly have in common.
fn kind_of(question: &Value, connect: &Value, ours: &Value) -> String {
    let of = |answer: &Value| match answer.get("error") {
        Some(error) => format!("{} {}", error["at"], error["class"]),
        None if answer.get("output").is_some_and(Value::is_null) => "null".to_owned(),
        None => "output".to_owned(),
    };
    let class =
        ["transform", "predicate", "converter"].map(|kind| question[kind].as_str().unwrap_or_default()).concat();
    format!("{class} {} {} {}", question["op"], of(connect), of(ours))
}

/// Questions with one part less.
fn candidates(question: &Value) -> Vec<Value> {
    let mut candidates = Vec::new();
    let input = &question["input"];
    let mut with = |pointer: &str, value: Value| {
        let mut candidate = question.clone();
        if let Some(place) = candidate.pointer_mut(pointer)
            && *place != value
        {
            *place = value;
            candidates.push(candidate);
        }
    };
    if input.get("headers").is_some() {
        with("/input/headers", json!([]));
        for (schema, value) in [("keySchema", "key"), ("valueSchema", "value")] {
            if !input[schema].is_null() || !input[value].is_null() {
                let mut candidate = input.clone();
                candidate[schema] = Value::Null;
                candidate[value] = Value::Null;
                with("/input", candidate);
            }
        }
    }
    for (schema, value) in [("keySchema", "key"), ("valueSchema", "value"), ("schema", "value")] {
        let fields = input[schema]["fields"].as_array().cloned().unwrap_or_default();
        for at in 0..fields.len() {
            let mut candidate = input.clone();
            let name = fields[at]["field"].as_str().unwrap_or_default();
            if let Some(fields) = candidate.pointer_mut(&format!("/{schema}/fields")).and_then(Value::as_array_mut) {
                fields.remove(at);
            }
            if let Some(fields) = candidate.pointer_mut(&format!("/{value}/struct")).and_then(Value::as_object_mut) {
                fields.remove(name);
            }
            with("/input", candidate);
        }
        for at in 0..input[value]["map"].as_array().map_or(0, Vec::len) {
            let mut candidate = input.clone();
            if let Some(pairs) = candidate.pointer_mut(&format!("/{value}/map")).and_then(Value::as_array_mut) {
                pairs.remove(at);
            }
            with("/input", candidate);
        }
    }
    let keys: Vec<String> =
        question["config"].as_object().map(|config| config.keys().cloned().collect()).unwrap_or_default();
    for key in keys {
        let mut config = question["config"].clone();
        if let Some(config) = config.as_object_mut() {
            config.remove(&key);
        }
        with("/config", config);
    }
    candidates
}

/// Why a difference stays; the reasons are told in `docs/limits.md`.
fn known(question: &Value, connect: &Value, ours: &Value) -> Option<&'static str> {
    let text =
        |json: &Value, pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (theirs, own) = (text(connect, "/error/class"), text(ours, "/error/class"));
    let class = ["/transform", "/converter"].map(|kind| text(question, kind)).concat();
    let class = class.rsplit('.').next().unwrap_or_default();
    let input = question["input"].to_string();
    if connect["error"]["at"] == "apply" && text(ours, "/error/message").contains("unterminated quote") {
        return Some(
            "a date pattern that cannot be is refused when the connector is created, not with its first record",
        );
    }
    if theirs == "java.lang.IndexOutOfBoundsException" && own == "java.lang.IllegalArgumentException" {
        return Some("a replacement that names a group that is not there: the class is that of its neighbours");
    }
    let refusal = text(connect, "/error/message");
    if class.starts_with("ReplaceField")
        && (refusal.ends_with("is not a valid field name") || refusal.starts_with("Invalid Java object"))
    {
        return Some("a field has the new name of one that is not there: Connect fails, here nothing is renamed");
    }
    if class.starts_with("Cast") && input.contains("org.apache.kafka.connect.data.") && ours.get("output").is_some() {
        return Some("a cast of a whole time leaves its schema to Connect, which then holds a number in it");
    }
    if class.starts_with("TimestampConverter") && text(ours, "/error/message").contains("known timestamp type") {
        return Some("a struct that is null: Connect does not look whether its field can be a time");
    }
    if class == "JsonConverter" && text(ours, "/error/message").contains("expected nothing after the value") {
        return Some("text behind a JSON value is refused");
    }
    if text(connect, "/error/message").contains("null used for required field") && input.contains("default") {
        return Some(
            "a null that has a default, in a required field, where defaults are not taken: it stays, Connect refuses it",
        );
    }
    if text(ours, "/error/message").contains("needs the key \"format\"") {
        return Some(
            "a timestamp that is text and no pattern for it: an error of the data here, NullPointerException there",
        );
    }
    if class.starts_with("HeaderFrom") && text(connect, "/error/message").contains("requires an optional schema") {
        return Some("a header of a null that has a default: null here, which Connect refuses");
    }
    let nan =
        ["NaN", "Infinity"].iter().any(|word| input.contains(word) || text(question, "/input/utf8").contains(word));
    if nan && format!("{connect}{ours}").contains("\"default\"") {
        return Some("a default that JSON has no number for");
    }
    if class == "StringConverter" && input.contains("bytes") {
        return Some("bytes inside a structure have no text in Java but their identity");
    }
    let is_time = ["Z", "1970-", "2023-"].iter().any(|part| text(question, "/input/utf8").contains(part));
    if class == "SimpleHeaderConverter" && is_time && text(connect, "/output/schema/type") == "string" {
        return Some("times beside other things in a map are a text to Connect");
    }
    if class.starts_with("ReplaceField") && refusal.starts_with("Only ") && question["config"].get("renames").is_none()
    {
        return Some("a transform that is told to do nothing does not look at what it gets");
    }
    if class == "SimpleHeaderConverter" && theirs.ends_with("NullPointerException") {
        return Some("a header that is null is null");
    }
    let bytes = BASE64.decode(text(connect, "/output/base64")).unwrap_or_default();
    if String::from_utf8_lossy(&bytes).contains("[B@") {
        return Some("bytes inside a structure have no text in Java but their identity");
    }
    if !bytes.is_empty() && input.contains("float32") && class != "JsonConverter" {
        return Some("the Java of the oracle writes more digits of a float than it takes");
    }
    None
}
