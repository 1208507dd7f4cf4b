//! RegexRouter: gives records whose topic matches a regular expression as a whole another topic.

use crate::java_regex::{JavaRegex, Replacement};
use tidegate_sdk::{
    Cell, Column, Columns, Config, Definition, Edits, Error, FailureKind, Key, Place, Plan, Problem, Result, Transform,
};

pub(crate) struct RegexRouter {
    regex: JavaRegex,
    /// A replacement that Java would refuse when it is used is an error of the records it would be used for.
    replacement: Result<Replacement, String>,
}

impl Transform for RegexRouter {
    fn definition() -> Definition {
        Definition::transform("RegexRouter")
            .alias("org.apache.kafka.connect.transforms.RegexRouter")
            .doc("Update the record topic using the configured regular expression and replacement string.")
            .key(Key::string("regex").high().required().doc("Regular expression to use for matching."))
            .key(Key::string("replacement").high().required().doc("Replacement string."))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        let refused = config.get("regex").and_then(|regex| JavaRegex::new(regex).err());
        refused.map(|message| Problem::new("regex", message)).into_iter().collect()
    }

    fn configure(config: &Config) -> Result<RegexRouter> {
        let regex = JavaRegex::new(config.string("regex")?);
        let regex = regex.map_err(|message| Error::invalid_config("regex", message))?;
        let replacement = Replacement::new(config.string("replacement")?, &regex);
        Ok(RegexRouter { regex, replacement })
    }

    fn plan(&self) -> Plan {
        let topic = vec![Column::whole(Place::Topic)];
        Plan { read: topic.clone(), write: topic }
    }

    fn apply(&self, columns: &Columns<'_>, edits: &mut Edits) -> Result<()> {
        // Each topic of the batch, mostly one, with what becomes of it.
        let mut routes: Vec<(&str, Route)> = Vec::new();
        let mut route_of = Vec::with_capacity(columns.len());
        let mut last = 0;
        for record in 0..columns.len() {
            let Cell::String(topic) = columns.cell(0, record)? else {
                return Err(Error::fatal("the host sent a topic that is no text"));
            };
            if routes.get(last).is_none_or(|(known, _)| *known != topic) {
                last = match routes.iter().position(|(known, _)| *known == topic) {
                    Some(known) => known,
                    None => {
                        routes.push((topic, self.route(topic)));
                        routes.len() - 1
                    }
                };
            }
            if let Route::Fail(kind, message) = &routes[last].1 {
                edits.fail(record, *kind, message);
            }
            route_of.push(last);
        }
        match &routes[..] {
            [] => {}
            [(_, Route::To(topic))] => edits.set(0, &topic.as_str().into()),
            _ if routes.iter().all(|(_, route)| !matches!(route, Route::To(_))) => {}
            _ => {
                let cells = route_of.iter().map(|&route| match &routes[route].1 {
                    Route::To(topic) => Ok(Cell::String(topic)),
                    _ => Ok(Cell::Missing),
                });
                edits.set_cells(0, cells)?;
            }
        }
        Ok(())
    }
}

enum Route {
    Stay,
    To(String),
    Fail(FailureKind, String),
}

impl RegexRouter {
    fn route(&self, topic: &str) -> Route {
        match (self.regex.matches(topic), &self.replacement) {
            (Ok(false), _) => Route::Stay,
            (Ok(true), Ok(replacement)) => match self.regex.replace_first(topic, replacement) {
                Ok(topic) => Route::To(topic),
                Err(message) => Route::Fail(FailureKind::Other, message),
            },
            (Ok(true), Err(message)) => Route::Fail(FailureKind::IllegalArgument, message.clone()),
            (Err(message), _) => Route::Fail(FailureKind::Other, message),
        }
    }
}
