//! From the bytes of a datum to nodes. Every length is checked against what is there before it is used.

use tidegate_record::Schema;
use tidegate_record::tlv::{Tag, UNSCALED_BYTES_MAX};
use tidegate_record::value::Value;
use tidegate_record::view::Payloads;

use super::plan::{Branch, Int, Plan};
use super::{Options, anything, to_connect};
use crate::budget;
use crate::nodes::{NAMELESS, node};

/// Milliseconds of a day.
const DAY_MILLIS: i32 = 86_400_000;

/// Reads the data of one writer's schema.
#[derive(Debug)]
pub struct Decoder {
    schema: Option<Schema>,
    plan: Plan,
}

/// Bytes with the place reached in them.
pub(super) struct Input<'b> {
    bytes: &'b [u8],
    at: usize,
    /// What the output may come to.
    limit: usize,
}

pub(super) type Result<T> = std::result::Result<T, String>;

impl Decoder {
    /// Works out how data of a schema is read. `references` are the schemas that it refers to, each after its own;
    /// `version` is the number that the registry has given the schema in its subject.
    pub fn new(text: &str, references: &[&str], version: Option<i32>, options: &Options) -> Result<Decoder> {
        let (schema, plan) = to_connect::compile(text, references, version, options)?;
        Ok(Decoder { schema, plan })
    }

    /// The Connect schema of what is read; none: values describe themselves.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Reads a datum. Fields of a struct at the top are ended one by one.
    pub fn decode(&self, datum: &[u8], out: &mut Payloads<'_>) -> Result<Tag> {
        let limit = budget::limit(out.bytes.len(), datum.len());
        let mut input = Input { bytes: datum, at: 0, limit };
        let mut plan = &self.plan;
        if let Plan::Optional { null_first, plan: inner } = plan {
            if input.is_null(*null_first).map_err(|error| input.told(error))? {
                return Ok(Tag::Null);
            }
            plan = inner;
        }
        match plan {
            Plan::Struct(members) => {
                for member in members {
                    let start = out.bytes.len();
                    let tag = payload(&member.plan, &mut input, out.bytes).map_err(|error| input.told(error))?;
                    out.end_field(start, tag);
                }
                Ok(Tag::Struct)
            }
            Plan::Union(branches) => {
                let chosen = input.branch(branches.len()).map_err(|error| input.told(error))?;
                if matches!(branches[chosen], Branch::Null) {
                    return Ok(Tag::Null);
                }
                for (at, branch) in branches.iter().enumerate() {
                    let Branch::Is(member) = branch else { continue };
                    let start = out.bytes.len();
                    let tag = match at == chosen {
                        true => payload(&member.plan, &mut input, out.bytes).map_err(|error| input.told(error))?,
                        false => Tag::Null,
                    };
                    out.end_field(start, tag);
                }
                Ok(Tag::Struct)
            }
            plan => payload(plan, &mut input, out.bytes).map_err(|error| input.told(error)),
        }
    }

    /// Reads a datum that describes itself.
    pub fn decode_anything(&self, datum: &[u8]) -> Result<Value> {
        let mut input = Input { bytes: datum, at: 0, limit: budget::limit(0, datum.len()) };
        anything::decode(&mut input, 1).map_err(|error| input.told(error))
    }
}

/// Appends the payload of a value and answers its tag.
fn payload(plan: &Plan, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Tag> {
    match plan {
        Plan::Boolean => {
            out.push(u8::from(input.boolean()?));
            Ok(Tag::Boolean)
        }
        Plan::Int(int) => {
            let value = input.int()?;
            match int {
                // As in Connect, the low bits count.
                Int::Int8 => out.push(value as u8),
                Int::Int16 => out.extend_from_slice(&(value as i16).to_le_bytes()),
                Int::Time if !(0..=DAY_MILLIS).contains(&value) => {
                    return Err(format!(
                        "Time values must use number of milliseconds greater than 0 and less than 86400000, not {value}"
                    ));
                }
                Int::Int32 | Int::Date | Int::Time => out.extend_from_slice(&value.to_le_bytes()),
            }
            Ok(match int {
                Int::Int8 => Tag::Int8,
                Int::Int16 => Tag::Int16,
                Int::Int32 => Tag::Int32,
                Int::Date => Tag::Date,
                Int::Time => Tag::Time,
            })
        }
        Plan::Long | Plan::Timestamp => {
            out.extend_from_slice(&input.long()?.to_le_bytes());
            Ok(if matches!(plan, Plan::Long) { Tag::Int64 } else { Tag::Timestamp })
        }
        // Avro's floats are little-endian, too.
        Plan::Float => {
            out.extend_from_slice(input.take(4)?);
            Ok(Tag::Float32)
        }
        Plan::Double => {
            out.extend_from_slice(input.take(8)?);
            Ok(Tag::Float64)
        }
        Plan::Bytes => {
            out.extend_from_slice(input.bytes()?);
            Ok(Tag::Bytes)
        }
        Plan::String => {
            out.extend_from_slice(input.text()?.as_bytes());
            Ok(Tag::String)
        }
        Plan::Decimal(scale) => {
            let unscaled = input.bytes()?;
            decimal(*scale, unscaled, out)
        }
        Plan::Fixed(size) => {
            out.extend_from_slice(input.take(*size)?);
            Ok(Tag::Bytes)
        }
        Plan::FixedDecimal(size, scale) => {
            let unscaled = input.take(*size)?;
            decimal(*scale, unscaled, out)
        }
        Plan::Enum(symbols) => {
            let index = input.int()?;
            let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
            let symbol =
                symbol.ok_or_else(|| format!("symbol number {index} of an enum that has {}", symbols.len()))?;
            out.extend_from_slice(symbol.as_bytes());
            Ok(Tag::String)
        }
        Plan::Array(items) => {
            input.blocks(|input, out| node(&NAMELESS, out, |out| payload(items, input, out)), out)?;
            Ok(Tag::Array)
        }
        Plan::Map(values) => {
            input.blocks(
                |input, out| {
                    let name = input.text()?;
                    node(&crate::nodes::header(name), out, |out| payload(values, input, out))
                },
                out,
            )?;
            Ok(Tag::Map)
        }
        Plan::Entries(keys, values, key_first) => {
            input.blocks(
                |input, out| {
                    if *key_first {
                        node(&NAMELESS, out, |out| payload(keys, input, out))?;
                        return node(&NAMELESS, out, |out| payload(values, input, out));
                    }
                    let mut value = Vec::new();
                    node(&NAMELESS, &mut value, |out| payload(values, input, out))?;
                    node(&NAMELESS, out, |out| payload(keys, input, out))?;
                    out.extend_from_slice(&value);
                    Ok(())
                },
                out,
            )?;
            Ok(Tag::Pairs)
        }
        Plan::Struct(members) => {
            for member in members {
                node(&member.head, out, |out| payload(&member.plan, input, out))?;
            }
            Ok(Tag::Struct)
        }
        Plan::Optional { null_first, plan } => match input.is_null(*null_first)? {
            true => Ok(Tag::Null),
            false => payload(plan, input, out),
        },
        Plan::Union(branches) => {
            let chosen = input.branch(branches.len())?;
            match &branches[chosen] {
                Branch::Null => Ok(Tag::Null),
                Branch::Is(member) => {
                    node(&member.head, out, |out| payload(&member.plan, input, out))?;
                    Ok(Tag::Struct)
                }
            }
        }
        Plan::Anything => Err("a value without a schema inside one that has a schema".to_owned()),
    }
}

fn decimal(scale: i32, unscaled: &[u8], out: &mut Vec<u8>) -> Result<Tag> {
    match unscaled.len() {
        0 => Err("a decimal without digits".to_owned()),
        length if length > UNSCALED_BYTES_MAX => Err(format!("a decimal of {length} bytes")),
        _ => {
            out.extend_from_slice(&scale.to_le_bytes());
            out.extend_from_slice(unscaled);
            Ok(Tag::Decimal)
        }
    }
}

impl<'b> Input<'b> {
    /// An error with the place where it was found.
    fn told(&self, error: String) -> String {
        format!("{error}, at byte {} of the datum", self.at)
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..count) else {
            return Err(format!("{count} bytes are due where {} are left", left.len()));
        };
        self.at += count;
        Ok(taken)
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64> {
        let (mut raw, mut shift) = (0u64, 0);
        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err("the datum ends within a number".to_owned());
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err("a number has more than 64 bits".to_owned());
            }
            raw |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
            shift += 7;
        }
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32> {
        let wide = self.long()?;
        i32::try_from(wide).map_err(|_| format!("{wide} where a number of 32 bits is due"))
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(format!("{} where a boolean is due", other[0])),
        }
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'b [u8]> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| format!("a length of {length} bytes"))?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'b str> {
        simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8".to_owned())
    }

    #[inline]
    pub(super) fn branch(&mut self, branches: usize) -> Result<usize> {
        let index = self.long()?;
        let chosen = usize::try_from(index).ok().filter(|index| *index < branches);
        chosen.ok_or_else(|| format!("branch {index} of a union that has {branches}"))
    }

    #[inline]
    pub(super) fn is_null(&mut self, null_first: bool) -> Result<bool> {
        Ok((self.branch(2)? == 0) == null_first)
    }

    /// The items of an array or a map. What they become counts against the limit, so items that take no bytes come to an
    /// end, too.
    fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Input<'b>, &mut Vec<u8>) -> Result<()>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The size of the block in bytes follows; whoever reads all of it has no use for it.
                count = count.checked_neg().ok_or("a block of more items than 64 bits can count")?;
                let size = self.long()?;
                if size < 0 {
                    return Err(format!("a block of {size} bytes"));
                }
            }
            for _ in 0..count {
                item(self, out)?;
                if out.len() > self.limit {
                    return Err("the datum becomes more than 256 times as large when it is decoded".to_owned());
                }
            }
        }
    }

    /// As [`Input::blocks`], of values that have at least one byte each and are collected by the caller.
    pub(super) fn values<T>(&mut self, mut item: impl FnMut(&mut Input<'b>) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut nothing = Vec::new();
        self.blocks(
            |input, _| {
                all.push(item(input)?);
                Ok(())
            },
            &mut nothing,
        )?;
        Ok(all)
    }
}
