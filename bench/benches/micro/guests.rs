//! Transforms to be measured: in their sandboxes, as the worker runs them, and the same code compiled natively.

use std::path::Path;

use tidegate_config::{Encoding, describe};
use tidegate_engine::{
    Budget, BudgetLimits, CompilerCommand, Config, Engine, EngineConfig, InstanceSpec, Payload, Plugin,
    TransformInstance,
};
use tidegate_record::SchemaTable;
use tidegate_record::columns::{ColumnsReader, ColumnsWriter};
use tidegate_record::edits::EditsReader;
use tidegate_record::value::JsonOptions;
use tidegate_record::view::{
    Column, Converter, Converters, HeaderConverter, Message, Place, Plan, Reshapes, View, Workspace,
};
use tidegate_sdk::bindings::imports::tidegate::connect::types as native_types;
use tidegate_sdk::bindings::transform::exports::tidegate::connect::transform::Guest as _;
use tidegate_sdk::exports::Exported;

/// What this program is started with to compile a component.
const COMPILER_ARGUMENT: &str = "--compile-component-from-stdin";

/// JSON without schemas, as most topics have it.
pub(crate) const CONVERTERS: Converters =
    Converters { key: Converter::String, value: Converter::Json { schemas: false }, header: HeaderConverter::Simple };

/// Whether this process was started to compile a component.
pub(crate) fn is_compiler() -> bool {
    std::env::args().nth(1).is_some_and(|argument| argument == COMPILER_ARGUMENT)
}

/// The engine, and the plugin of built-in transforms.
pub(crate) struct Guests {
    pub(crate) engine: Engine,
    pub(crate) built_in: Plugin,
}

impl Guests {
    pub(crate) fn start() -> Guests {
        let compiler = CompilerCommand {
            program: std::env::current_exe().expect("this program has a file"),
            args: vec![COMPILER_ARGUMENT.into()],
        };
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm");
        let engine = Engine::start(EngineConfig::new(compiler, cache)).expect("the engine starts");
        let transforms = tidegate_bundled::components().iter().find(|component| component.name == "transforms");
        let bytes = transforms.expect("transforms are in the box").bytes;
        let built_in = engine.handle().block_on(engine.load(bytes)).expect("the built-in transforms load");
        Guests { engine, built_in }
    }

    /// A configured transform of a plugin.
    pub(crate) fn step(&self, plugin: &Plugin, definition: &str, config: &[(&str, &str)]) -> Step {
        let config: Config = config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let budget = Budget::worker(BudgetLimits::default()).connector("bench", BudgetLimits::default());
        let described = describe::read(plugin.description()).expect("the description is good");
        let encoding = described.definitions.iter().find(|known| known.name == definition).map(|known| known.encoding);
        let spec = InstanceSpec::new("bench", definition, budget);
        self.engine.handle().block_on(async {
            let mut instance = TransformInstance::new(plugin, &spec).await.expect("the instance is made");
            let plan = instance.configure(&config).await.expect("the configuration is good");
            let columns = |columns: Vec<tidegate_engine::Column>| columns.into_iter().map(column).collect();
            Step {
                instance,
                definition: definition.to_owned(),
                config,
                plan: Plan { read: columns(plan.read), write: columns(plan.write) },
                wants_json: encoding == Some(Encoding::Json),
                reshapes: Reshapes::new(),
            }
        })
    }
}

/// A transform with its plan.
pub(crate) struct Step {
    pub(crate) instance: TransformInstance,
    definition: String,
    config: Config,
    plan: Plan,
    wants_json: bool,
    reshapes: Reshapes,
}

impl Step {
    /// What the step is shown of a view's records.
    pub(crate) fn columns(&self, view: &mut View<'_>, schemas: &SchemaTable, columns: &mut ColumnsWriter) -> Payload {
        view.columns(&view.rows(), &self.plan.read, schemas, columns);
        let arena = columns.take().expect("the columns fit");
        if self.wants_json {
            return Payload::Json(ColumnsReader::parse(&arena).expect("own columns are good").to_json());
        }
        Payload::Arena(arena)
    }

    /// Lets the step work on a view, as the worker does.
    pub(crate) async fn run(&mut self, view: &mut View<'_>, schemas: &mut SchemaTable, columns: &mut ColumnsWriter) {
        let payload = self.columns(view, schemas, columns);
        let Payload::Arena(edits) = self.instance.apply(&payload).await.expect("apply answers") else {
            panic!("a built-in transform answers an arena");
        };
        let rows = view.rows();
        let edits = EditsReader::parse(&edits, rows.len(), self.plan.write.len()).expect("the edits are good");
        view.apply(&rows, &edits, &self.plan.write, &self.reshapes, schemas).expect("the edits apply");
    }

    /// The definition's name.
    pub(crate) fn name(&self) -> String {
        self.definition.clone()
    }

    /// Configures the same transform, compiled natively, on this thread; it answers [`native_apply`] from now on.
    pub(crate) fn configure_native(&self) {
        Native::configure(self.definition.clone(), self.config.clone()).expect("the configuration is good");
    }
}

/// What the natively compiled transform of this thread answers; the arena is copied, as it is for a sandbox.
pub(crate) fn native_apply(columns: &[u8]) -> native_types::Payload {
    Native::apply(String::new(), native_types::Payload::Arena(columns.to_vec())).expect("apply answers")
}

/// The built-in transforms as part of this program.
struct Native;

impl Exported for Native {
    const PLUGIN: &'static tidegate_sdk::Plugin = &tidegate_plugin_transforms::PLUGIN;
}

/// A view of messages with these values.
pub(crate) fn view<'a>(values: &'a [Vec<u8>], workspace: Workspace, schemas: &mut SchemaTable) -> View<'a> {
    let mut view = View::new(workspace, JsonOptions::default());
    for (offset, value) in (0..).zip(values) {
        let message = Message {
            topic: "orders",
            partition: 0,
            offset,
            timestamp: 1_700_000_000_000,
            append_time: false,
            key: None,
            value: Some(value),
            headers: &[],
        };
        view.push(message, &CONVERTERS, schemas);
    }
    view
}

fn column(column: tidegate_engine::Column) -> Column {
    let place = match column.place {
        tidegate_engine::Place::Value => Place::Value,
        tidegate_engine::Place::Key => Place::Key,
        tidegate_engine::Place::Header => Place::Header,
        tidegate_engine::Place::Topic => Place::Topic,
        tidegate_engine::Place::Partition => Place::Partition,
        tidegate_engine::Place::Offset => Place::Offset,
        tidegate_engine::Place::Timestamp => Place::Timestamp,
    };
    Column { place, path: column.path }
}
