//! One engine and one guest for all tests, and the shortest way from a configuration to what became of a call.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tidegate_config::address::{HostPort, Origin};
use tidegate_config::grant::{Granted, Grants};
use tidegate_engine::{
    Budget, BudgetLimits, CallError, CompilerCommand, Config, Engine, EngineConfig, Hooks, InstanceSpec, Limits,
    LogLevel, LogSink, Payload, Plugin, TransformInstance,
};
use tokio::runtime::Handle;

/// The folder for what tests leave behind and find again: compiled code and the guest.
pub(crate) fn kept() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

pub(crate) fn compiler() -> CompilerCommand {
    CompilerCommand { program: env!("CARGO_BIN_EXE_compile-child").into(), args: Vec::new() }
}

pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE
        .get_or_init(|| Engine::start(EngineConfig::new(compiler(), kept().join("cwasm"))).expect("the engine starts"))
}

pub(crate) fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| tidegate_components::build_guest("guest", kept()))
}

pub(crate) fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| engine().handle().block_on(engine().load(guest())).expect("the guest loads"))
}

/// Builds and loads what tests share. To be called outside of the guests' runtime the first time.
pub(crate) fn prepare() {
    if Handle::try_current().is_err() {
        plugin();
    }
}

/// Runs to the end, outside of the guests' runtime.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    prepare();
    engine().handle().block_on(future)
}

/// Lines that an instance logged.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

impl Lines {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl LogSink for Lines {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// A call to be made, under limits that are smaller than the defaults.
pub(crate) struct Attempt {
    pub(crate) spec: InstanceSpec,
    pub(crate) lines: Arc<Lines>,
    pub(crate) config: Config,
}

/// What became of it.
pub(crate) struct Outcome {
    /// The guest's text, or the error's.
    pub(crate) text: String,
    pub(crate) error: Option<CallError>,
    pub(crate) budget: Budget,
    pub(crate) lines: Vec<String>,
}

/// Begins an attempt at a behaviour of the guest's: `do=read path=/etc/passwd`.
pub(crate) fn attempt(behaviour: &str) -> Attempt {
    prepare();
    let config = behaviour.split_whitespace().map(|pair| {
        let (key, value) = pair.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    });
    let lines = Arc::new(Lines::default());
    let budget = Budget::worker(BudgetLimits::default()).connector("bad", BudgetLimits::default());
    let spec = InstanceSpec {
        limits: Limits {
            memory: 32 << 20,
            call_cpu: Duration::from_millis(100),
            call: Duration::from_secs(20),
            log_lines_per_second: 10,
            ..Limits::default()
        },
        hooks: Hooks { log: lines.clone(), ..Hooks::default() },
        deny_private_networks: false,
        ..InstanceSpec::new("bad-0", "Bad", budget)
    };
    Attempt { spec, lines, config: config.collect() }
}

impl Attempt {
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Attempt {
        change(&mut self.spec.limits);
        self
    }

    pub(crate) fn grants(mut self, change: impl FnOnce(&mut Grants)) -> Attempt {
        change(&mut self.spec.grants);
        self
    }

    pub(crate) fn budget(mut self, budget: Budget) -> Attempt {
        self.spec.budget = budget;
        self
    }

    pub(crate) async fn instance(&self) -> TransformInstance {
        let mut instance = TransformInstance::new(plugin(), &self.spec).await.expect("an instance");
        instance.configure(&self.config).await.expect("it takes its configuration");
        instance
    }

    /// Makes an instance and lets it try.
    pub(crate) fn run(self) -> Outcome {
        wait(async {
            let mut instance = self.instance().await;
            let answer = instance.apply(&Payload::Arena(Vec::new())).await;
            let (text, error) = match answer {
                Ok(Payload::Json(text)) => (text, None),
                Ok(Payload::Arena(bytes)) => (format!("{} bytes", bytes.len()), None),
                Err(error) => (error.to_string(), Some(error)),
            };
            assert_eq!(
                instance.is_gone(),
                error.as_ref().is_some_and(CallError::ends_instance),
                "an error that ends an instance leaves none behind"
            );
            Outcome { text, error, budget: instance.budget().clone(), lines: self.lines.all() }
        })
    }

    /// The text that comes of it holds the expected part.
    #[track_caller]
    pub(crate) fn check(self, expected: &str) -> Outcome {
        let outcome = self.run();
        assert!(outcome.text.contains(expected), "expected \"{expected}\" in: {}\n{:#?}", outcome.text, outcome.error);
        outcome
    }
}

/// A component written by hand: it exports `plugin` and the items given, and its `describe` runs the body and then
/// answers `{}`.
pub(crate) fn describing(items: &str, core_items: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "mem") 1)
                (data (i32.const 16) "{{}}")
                {core_items}
                (func (export "describe") (result i32)
                    {body}
                    (i32.store (i32.const 0) (i32.const 16))
                    (i32.store (i32.const 4) (i32.const 2))
                    (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $describe (result string) (canon lift (core func $i "describe") (memory $i "mem")))
            (instance $plugin (export "describe" (func $describe)))
            (export "tidegate:connect/plugin@0.1.0" (instance $plugin))
            {items})"#
    );
    wat::parse_str(text).expect("text of a component")
}

pub(crate) fn granted<T>(target: T) -> Granted<T> {
    Granted { key: "target".to_owned(), target }
}

pub(crate) fn path(path: &Path) -> Granted<String> {
    granted(path.to_str().expect("a path of text").to_owned())
}

pub(crate) fn host_port(host: &str, port: u16) -> Granted<HostPort> {
    granted(HostPort { host: host.to_owned(), port })
}

pub(crate) fn url(host: &str, port: u16) -> Granted<Origin> {
    granted(Origin { scheme: "http".to_owned(), host: host.to_owned(), port })
}
