//! From the bytes of a message to nodes. Fields may come in any order and more than once: where they are is noted in one pass,
//! then they are read in the order of the schema.

use prost_reflect::FileDescriptor;
use tidegate_record::Schema;
use tidegate_record::tlv::{Tag, UNSCALED_BYTES_MAX};
use tidegate_record::view::Payloads;

use super::to_connect::{Message, Plan, Reads, Width, compile, message_at};
use super::wire_format::{Input, Result, Wire, unzigzag};
use super::{Options, calendar, files};
use crate::budget;
use crate::nodes::{NAMELESS, header, node};

/// Reads the messages of one kind.
#[derive(Debug)]
pub struct Decoder {
    schema: Schema,
    plan: Message,
}

/// No such piece.
const NONE: u32 = u32::MAX;

/// A value in the bytes of a message.
#[derive(Clone, Copy)]
struct Piece {
    wire: Wire,
    start: u32,
    end: u32,
    /// The next one of the same field.
    next: u32,
}

/// Notes of where fields are, of all messages that are open.
struct Notes {
    /// First and last piece of each slot.
    slots: Vec<(u32, u32)>,
    pieces: Vec<Piece>,
    /// What the output may come to.
    limit: usize,
}

/// The notes of one message.
#[derive(Clone, Copy)]
struct Frame {
    slots: usize,
    pieces: usize,
}

impl Decoder {
    /// Works out how a message is read. `references` are the files that the text imports, by name; `indexes` are the way to
    /// the message.
    pub fn new(
        text: &str,
        references: &[(String, String)],
        indexes: &[usize],
        version: Option<i32>,
        options: &Options,
    ) -> std::result::Result<Decoder, String> {
        let file: FileDescriptor = files::compile(text, references)?;
        let (schema, plan) = compile(&message_at(&file, indexes)?, version, options)?;
        Ok(Decoder { schema, plan })
    }

    /// The Connect schema of what is read.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Reads a message; its fields are ended one by one.
    pub fn decode(&self, bytes: &[u8], out: &mut Payloads<'_>) -> Result<Tag> {
        let limit = budget::limit(out.bytes.len(), bytes.len());
        let mut notes =
            Notes { slots: Vec::with_capacity(self.plan.slots.len()), pieces: Vec::with_capacity(16), limit };
        let frame = notes.scan(&self.plan, bytes)?;
        for (member, field) in self.plan.members.iter().zip(self.schema.fields()) {
            let start = out.bytes.len();
            let tag = notes
                .member(&member.reads, bytes, frame, out.bytes)
                .map_err(|error| format!("field \"{}\": {error}", field.name))?;
            out.end_field(start, tag);
        }
        Ok(Tag::Struct)
    }
}

impl Notes {
    /// Notes where the fields of a message are.
    fn scan(&mut self, plan: &Message, bytes: &[u8]) -> Result<Frame> {
        let frame = Frame { slots: self.slots.len(), pieces: self.pieces.len() };
        self.slots.resize(frame.slots + plan.slots.len(), (NONE, NONE));
        let mut input = Input::new(bytes);
        // Fields mostly come in the order of their numbers.
        let mut hint = 0;
        while let Some((number, wire, start, end)) =
            input.field().map_err(|error| format!("{error}, at byte {} of the message", input.at))?
        {
            let found = match plan.numbers.get(hint) {
                Some(&(own, slot)) if own == number => Some((hint, slot)),
                _ => {
                    plan.numbers.binary_search_by_key(&number, |(own, _)| *own).ok().map(|at| (at, plan.numbers[at].1))
                }
            };
            let Some((at, slot)) = found else { continue };
            hint = at + 1;
            let (own, in_one_piece) = plan.slots[slot as usize];
            if wire != own && !(wire == Wire::Sized && in_one_piece) {
                // As others do: a field of another type is a field that nobody knows.
                continue;
            }
            let at = self.pieces.len() as u32;
            self.pieces.push(Piece { wire, start: start as u32, end: end as u32, next: NONE });
            let (first, last) = &mut self.slots[frame.slots + slot as usize];
            match *last {
                NONE => *first = at,
                before => self.pieces[before as usize].next = at,
            }
            *last = at;
        }
        Ok(frame)
    }

    fn forget(&mut self, frame: Frame) {
        self.slots.truncate(frame.slots);
        self.pieces.truncate(frame.pieces);
    }

    fn first_of(&self, frame: Frame, slot: u32) -> u32 {
        self.slots[frame.slots + slot as usize].0
    }

    fn last_of(&self, frame: Frame, slot: u32) -> u32 {
        self.slots[frame.slots + slot as usize].1
    }

    /// Appends the payload of a field.
    fn member(&mut self, reads: &Reads, bytes: &[u8], frame: Frame, out: &mut Vec<u8>) -> Result<Tag> {
        match reads {
            Reads::One { slot, plan, is_null } => match (self.last_of(frame, *slot), is_null) {
                (NONE, true) => Ok(Tag::Null),
                (NONE, false) => zero(plan, out),
                (last, _) => self.single(plan, bytes, self.first_of(frame, *slot), last, out),
            },
            Reads::List { slot, plan } => {
                let mut at = self.first_of(frame, *slot);
                while at != NONE {
                    let piece = self.pieces[at as usize];
                    at = piece.next;
                    if piece.wire == Wire::Sized && plan.wire() != Wire::Sized {
                        self.packed(plan, &bytes[piece.start as usize..piece.end as usize], out)?;
                    } else {
                        node(&NAMELESS, out, |out| self.value(plan, bytes, piece, out))?;
                    }
                    self.check(out)?;
                }
                Ok(Tag::Array)
            }
            Reads::Map { slot, key, value } => {
                let is_named = matches!(key, Plan::String);
                let mut at = self.first_of(frame, *slot);
                while at != NONE {
                    let piece = self.pieces[at as usize];
                    at = piece.next;
                    let entry = &bytes[piece.start as usize..piece.end as usize];
                    let (of_key, of_value) = entry_parts(entry, key, value)?;
                    if is_named {
                        let name = match of_key {
                            Some(piece) => text(&entry[piece.start as usize..piece.end as usize])?,
                            None => "",
                        };
                        node(&header(name), out, |out| self.part(value, entry, of_value, out))?;
                    } else {
                        node(&NAMELESS, out, |out| self.part(key, entry, of_key, out))?;
                        node(&NAMELESS, out, |out| self.part(value, entry, of_value, out))?;
                    }
                    self.check(out)?;
                }
                Ok(if is_named { Tag::Map } else { Tag::Pairs })
            }
            Reads::OneOf(choices) => {
                // The one that came last counts.
                let set = choices.iter().filter(|(_, slot, _)| self.last_of(frame, *slot) != NONE);
                let Some((head, slot, plan)) = set.max_by_key(|(_, slot, _)| self.last_of(frame, *slot)) else {
                    return Ok(Tag::Null);
                };
                let (first, last) = (self.first_of(frame, *slot), self.last_of(frame, *slot));
                node(head, out, |out| self.single(plan, bytes, first, last, out))?;
                Ok(Tag::Struct)
            }
        }
    }

    fn check(&self, out: &[u8]) -> Result<()> {
        if out.len() > self.limit {
            return Err("the message becomes more than 256 times as large when it is decoded".to_owned());
        }
        Ok(())
    }

    /// A field that comes once. Of scalars the last counts, messages are put together.
    fn single(&mut self, plan: &Plan, bytes: &[u8], first: u32, last: u32, out: &mut Vec<u8>) -> Result<Tag> {
        let is_message = plan.wire() == Wire::Sized && !matches!(plan, Plan::String | Plan::Bytes);
        if first == last || !is_message {
            return self.value(plan, bytes, self.pieces[last as usize], out);
        }
        let mut whole = Vec::new();
        let mut at = first;
        while at != NONE {
            let piece = self.pieces[at as usize];
            whole.extend_from_slice(&bytes[piece.start as usize..piece.end as usize]);
            at = piece.next;
        }
        let piece = Piece { wire: Wire::Sized, start: 0, end: whole.len() as u32, next: NONE };
        self.value(plan, &whole, piece, out)
    }

    fn part(&mut self, plan: &Plan, entry: &[u8], piece: Option<Piece>, out: &mut Vec<u8>) -> Result<Tag> {
        match piece {
            Some(piece) => self.value(plan, entry, piece, out),
            None => zero(plan, out),
        }
    }

    /// Numbers one behind the other.
    fn packed(&mut self, plan: &Plan, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let end = match plan.wire() {
                Wire::Fixed32 => at + 4,
                Wire::Fixed64 => at + 8,
                _ => {
                    let mut input = Input { bytes, at };
                    input.varint()?;
                    input.at
                }
            };
            if end > bytes.len() {
                return Err("a list of numbers ends within one".to_owned());
            }
            let piece = Piece { wire: plan.wire(), start: at as u32, end: end as u32, next: NONE };
            node(&NAMELESS, out, |out| self.value(plan, bytes, piece, out))?;
            self.check(out)?;
            at = end;
        }
        Ok(())
    }

    fn value(&mut self, plan: &Plan, bytes: &[u8], piece: Piece, out: &mut Vec<u8>) -> Result<Tag> {
        let own = &bytes[piece.start as usize..piece.end as usize];
        let varint = || Input::new(own).varint();
        let fixed32 = || own.first_chunk().map(|raw| u32::from_le_bytes(*raw)).unwrap_or_default();
        match plan {
            Plan::Int32(width) => Ok(put_int(*width, varint()? as i32, out)),
            Plan::SInt32(width) => Ok(put_int(*width, unzigzag(varint()?) as i32, out)),
            Plan::SFixed32(width) => Ok(put_int(*width, fixed32() as i32, out)),
            Plan::UInt32 => Ok(put_long(i64::from(varint()? as u32), out)),
            Plan::Fixed32 => Ok(put_long(i64::from(fixed32()), out)),
            Plan::Int64 => Ok(put_long(varint()? as i64, out)),
            Plan::SInt64 => Ok(put_long(unzigzag(varint()?), out)),
            Plan::Fixed64 | Plan::Float | Plan::Double => {
                out.extend_from_slice(own);
                Ok(match plan {
                    Plan::Fixed64 => Tag::Int64,
                    Plan::Float => Tag::Float32,
                    _ => Tag::Float64,
                })
            }
            Plan::Bool => {
                out.push(u8::from(varint()? != 0));
                Ok(Tag::Boolean)
            }
            Plan::String => {
                out.extend_from_slice(text(own)?.as_bytes());
                Ok(Tag::String)
            }
            Plan::Bytes => {
                out.extend_from_slice(own);
                Ok(Tag::Bytes)
            }
            Plan::Enum { name, names, .. } => {
                let number = varint()? as i32;
                match names.get(&number) {
                    Some(name) => out.extend_from_slice(name.as_bytes()),
                    None => out.extend_from_slice(format!("UNKNOWN_ENUM_VALUE_{name}_{number}").as_bytes()),
                }
                Ok(Tag::String)
            }
            Plan::EnumNumber(_) => Ok(put_int(Width::Int32, varint()? as i32, out)),
            Plan::Message(message) => {
                let frame = self.scan(message, own)?;
                for member in &message.members {
                    node(&member.head, out, |out| self.member(&member.reads, own, frame, out))?;
                    self.check(out)?;
                }
                self.forget(frame);
                Ok(Tag::Struct)
            }
            Plan::Wrapper(inner) => {
                let mut input = Input::new(own);
                let mut found = None;
                while let Some((number, wire, start, end)) = input.field()? {
                    if number == 1 && wire == inner.wire() {
                        found = Some(Piece { wire, start: start as u32, end: end as u32, next: NONE });
                    }
                }
                self.part(inner, own, found, out)
            }
            Plan::Timestamp => {
                let [seconds, nanos, ..] = numbers(own)?;
                let millis = seconds.checked_mul(1_000).and_then(|millis| millis.checked_add(nanos / 1_000_000));
                out.extend_from_slice(&millis.ok_or("a timestamp out of range")?.to_le_bytes());
                Ok(Tag::Timestamp)
            }
            Plan::Date => {
                let [year, month, day, _] = numbers(own)?;
                let days = calendar::days(year, month, day).ok_or_else(|| format!("no date: {year}-{month}-{day}"))?;
                out.extend_from_slice(&days.to_le_bytes());
                Ok(Tag::Date)
            }
            Plan::Time => {
                let [hours, minutes, seconds, nanos] = numbers(own)?;
                let in_range = (0..24).contains(&hours)
                    && (0..60).contains(&minutes)
                    && (0..60).contains(&seconds)
                    && (0..1_000_000_000).contains(&nanos);
                if !in_range {
                    return Err(format!("no time of day: {hours}:{minutes}:{seconds}.{nanos}"));
                }
                let millis = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + nanos / 1_000_000;
                out.extend_from_slice(&(millis as i32).to_le_bytes());
                Ok(Tag::Time)
            }
            Plan::Decimal => decimal(own, out),
        }
    }
}

/// The zero of a type, which is what a field is that is not there.
fn zero(plan: &Plan, out: &mut Vec<u8>) -> Result<Tag> {
    let number = match plan {
        Plan::Enum { first, .. } | Plan::EnumNumber(first) => *first,
        _ => 0,
    };
    let mut bytes = Vec::new();
    match plan.wire() {
        Wire::Varint => super::wire_format::put_varint(number as i64 as u64, &mut bytes),
        Wire::Fixed32 => bytes.extend([0; 4]),
        Wire::Fixed64 => bytes.extend([0; 8]),
        Wire::Sized => {}
    }
    let piece = Piece { wire: plan.wire(), start: 0, end: bytes.len() as u32, next: NONE };
    // What is made of nothing is bounded by the schema.
    Notes { slots: Vec::new(), pieces: Vec::new(), limit: usize::MAX }.value(plan, &bytes, piece, out)
}

fn entry_parts(entry: &[u8], key: &Plan, value: &Plan) -> Result<(Option<Piece>, Option<Piece>)> {
    let mut input = Input::new(entry);
    let (mut of_key, mut of_value) = (None, None);
    while let Some((number, wire, start, end)) = input.field()? {
        let piece = Some(Piece { wire, start: start as u32, end: end as u32, next: NONE });
        match number {
            1 if wire == key.wire() => of_key = piece,
            2 if wire == value.wire() => of_value = piece,
            _ => {}
        }
    }
    Ok((of_key, of_value))
}

fn put_int(width: Width, value: i32, out: &mut Vec<u8>) -> Tag {
    match width {
        Width::Int8 => {
            out.push(value as u8);
            Tag::Int8
        }
        Width::Int16 => {
            out.extend_from_slice(&(value as i16).to_le_bytes());
            Tag::Int16
        }
        Width::Int32 => {
            out.extend_from_slice(&value.to_le_bytes());
            Tag::Int32
        }
    }
}

fn put_long(value: i64, out: &mut Vec<u8>) -> Tag {
    out.extend_from_slice(&value.to_le_bytes());
    Tag::Int64
}

fn text(bytes: &[u8]) -> Result<&str> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| "a string is not UTF-8".to_owned())
}

/// The numbers in fields 1 to 4 of a small message.
fn numbers(bytes: &[u8]) -> Result<[i64; 4]> {
    let mut numbers = [0; 4];
    let mut input = Input::new(bytes);
    while let Some((number, wire, start, _)) = input.field()? {
        if let (Wire::Varint, 1..=4) = (wire, number) {
            numbers[number as usize - 1] = Input { bytes, at: start }.varint()? as i64;
        }
    }
    Ok(numbers)
}

fn decimal(bytes: &[u8], out: &mut Vec<u8>) -> Result<Tag> {
    let (mut unscaled, mut scale) = (&[][..], 0);
    let mut input = Input::new(bytes);
    while let Some((number, wire, start, end)) = input.field()? {
        match (number, wire) {
            (1, Wire::Sized) => unscaled = &bytes[start..end],
            (3, Wire::Varint) => scale = Input { bytes, at: start }.varint()? as i32,
            _ => {}
        }
    }
    if unscaled.is_empty() || unscaled.len() > UNSCALED_BYTES_MAX {
        return Err(format!("a decimal of {} bytes", unscaled.len()));
    }
    out.extend_from_slice(&scale.to_le_bytes());
    out.extend_from_slice(unscaled);
    Ok(Tag::Decimal)
}
