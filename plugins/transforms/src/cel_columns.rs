//! What of a record an expression looks at, as far as its text tells.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use tidegate_sdk::{Column, Place};

/// The names that an expression has for the parts of a record.
pub(crate) const PARTS: [(&str, Place); 7] = [
    ("value", Place::Value),
    ("key", Place::Key),
    ("headers", Place::Header),
    ("topic", Place::Topic),
    ("partition", Place::Partition),
    ("offset", Place::Offset),
    ("timestamp", Place::Timestamp),
];

/// The columns that some expressions need, each once.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    pub(crate) columns: Vec<Column>,
}

impl Looks {
    /// Adds what an expression looks at. The error says what it must not do, or what it does not know.
    pub(crate) fn add(&mut self, expression: &IdedExpr) -> Result<(), String> {
        self.walk(expression, &mut Vec::new())
    }

    /// `bound` are the names that macros such as `all` have made.
    fn walk(&mut self, expression: &IdedExpr, bound: &mut Vec<String>) -> Result<(), String> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => match part(name, bound) {
                Some(Place::Header) => {
                    Err("headers are asked for by name: headers.NAME or headers[\"NAME\"]".to_owned())
                }
                Some(place) => {
                    self.note(Column::whole(place));
                    Ok(())
                }
                None if bound.contains(name) => Ok(()),
                None => Err(format!("there is no \"{name}\", only {}", PARTS.map(|(name, _)| name).join(", "))),
            },
            Expr::Select(select) => match field(&select.operand, bound) {
                Some(place) => {
                    self.note(Column::field(place, &select.field));
                    Ok(())
                }
                None => self.walk(&select.operand, bound),
            },
            Expr::Call(call) => {
                // An index by a text is a field, however it is spelled.
                if let ("_[_]", [of, index]) = (call.func_name.as_str(), call.args.as_slice())
                    && let (Some(place), Expr::Literal(LiteralValue::String(name))) = (field(of, bound), &index.expr)
                {
                    self.note(Column::field(place, name.inner()));
                    return Ok(());
                }
                call.target.iter().try_for_each(|target| self.walk(target, bound))?;
                call.args.iter().try_for_each(|argument| self.walk(argument, bound))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.walk(element, bound)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, bound)),
            Expr::Struct(made) => made.entries.iter().try_for_each(|entry| self.entry(&entry.expr, bound)),
            Expr::Comprehension(comprehension) => {
                self.walk(&comprehension.iter_range, bound)?;
                self.walk(&comprehension.accu_init, bound)?;
                let before = bound.len();
                bound.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                bound.extend(comprehension.iter_var2.clone());
                for inner in [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result] {
                    self.walk(inner, bound)?;
                }
                bound.truncate(before);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, bound: &mut Vec<String>) -> Result<(), String> {
        match entry {
            EntryExpr::StructField(field) => self.walk(&field.value, bound),
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key, bound)?;
                self.walk(&entry.value, bound)
            }
        }
    }

    /// Whoever has the whole needs no part of it.
    fn note(&mut self, column: Column) {
        let whole = Column::whole(column.place);
        if self.columns.contains(&column) || self.columns.contains(&whole) {
            return;
        }
        if column == whole {
            self.columns.retain(|known| known.place != column.place);
        }
        self.columns.push(column);
    }
}

/// The part of a record that an operand is and that has fields.
fn field(operand: &IdedExpr, bound: &[String]) -> Option<Place> {
    match &operand.expr {
        Expr::Ident(name) => {
            part(name, bound).filter(|place| matches!(place, Place::Value | Place::Key | Place::Header))
        }
        _ => None,
    }
}

fn part(name: &str, bound: &[String]) -> Option<Place> {
    if bound.iter().any(|known| known == name) {
        return None;
    }
    PARTS.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(source: &str) -> String {
        let mut looks = Looks::default();
        let program = match cel::Program::compile(source) {
            Ok(program) => program,
            Err(error) => return format!("no expression: {error}"),
        };
        match looks.add(program.expression()) {
            Err(message) => message,
            Ok(()) => {
                let shown = looks.columns.iter().map(|column| format!("{:?}.{}", column.place, column.path.join(".")));
                shown.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn only_what_an_expression_mentions_is_asked_for() {
        for (source, expected) in [
            ("value.a.b > 1 && key == 'x'", "Value.a Key."),
            ("value['a b'] + value.a", "Value.a b Value.a"),
            ("has(value.a) ? value.b : topic", "Value.a Value.b Topic."),
            ("value.a + size(value)", "Value."),
            ("value[topic]", "Value. Topic."),
            ("value.items.all(i, i.price > partition)", "Value.items Partition."),
            ("value.items.exists(value, value.x)", "Value.items"),
            ("headers.h1 == headers['h 2']", "Header.h1 Header.h 2"),
            ("{'a': [timestamp, offset]}", "Timestamp. Offset."),
            ("1 + 2", ""),
            ("headers", "headers are asked for by name: headers.NAME or headers[\"NAME\"]"),
            ("record.a", "there is no \"record\", only value, key, headers, topic, partition, offset, timestamp"),
        ] {
            assert_eq!(looks(source), expected, "{source}");
        }
    }
}
