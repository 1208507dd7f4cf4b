//! From a core module (C, Go) to a component: embeds the world, applies WASI's preview 1 adapter and, for Go, first
//! rewrites the module so that its collector cannot call the host while `cabi_realloc` runs.

use anyhow::{Result, anyhow};
use wasi_preview1_component_adapter_provider as adapter;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{ConstExpr, ExportKind, Function, GlobalType, Instruction as I, MemArg, ValType};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};

/// Which runtime the core module was made by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runtime {
    /// Plain code.
    C,
    /// Go: see [`quiet_realloc`].
    Go,
}

/// Makes a component of `module` for `world`.
pub fn component(module: Vec<u8>, resolve: &Resolve, world: WorldId, runtime: Runtime) -> Result<Vec<u8>> {
    let mut module = match runtime {
        Runtime::C => module,
        Runtime::Go => quiet_realloc(&module)?,
    };
    wit_component::embed_component_metadata(&mut module, resolve, world, wit_component::StringEncoding::UTF8, false)?;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}

/// The canonical ABI forbids calling imports while `cabi_realloc` runs (trap "cannot leave component instance"), but Go
/// may start a collection or poll its timers there, which reads clocks, yields or sleeps. The rewrite
/// * wraps the export `cabi_realloc`: sets a flag, calls the original, clears the flag;
/// * sends every call of `clock_time_get` to a wrapper which, under the flag, answers with the last value seen of that
///   clock, and of `poll_oneoff` and `sched_yield` to one which then reports success without doing anything.
///
/// Upstream: componentize-go #77, wasmtime #14318.
fn quiet_realloc(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut quiet = Quiet::default();
    for payload in Parser::new(0).parse_all(wasm) {
        quiet.scan(payload?)?;
    }
    if quiet.realloc.is_none() {
        return Ok(wasm.to_vec());
    }
    let mut module = wasm_encoder::Module::new();
    quiet.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|error| anyhow!("{error}"))?;
    Ok(module.finish())
}

/// What a wrapper does under the flag.
#[derive(Clone, Copy)]
enum Silence {
    Clock,
    Poll,
    Yield,
}

struct Wrapped {
    import: u32,
    ty: u32,
    silence: Silence,
}

#[derive(Default)]
struct Quiet {
    functions: u32,
    imported: u32,
    /// The flag (i32); after it the last values of four clocks (i64).
    flag: u32,
    types: Vec<u32>,
    wrapped: Vec<Wrapped>,
    realloc: Option<u32>,
}

impl Quiet {
    fn scan(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            let silence = match (import.module, import.name) {
                                ("wasi_snapshot_preview1", "clock_time_get") => Some(Silence::Clock),
                                ("wasi_snapshot_preview1", "poll_oneoff") => Some(Silence::Poll),
                                ("wasi_snapshot_preview1", "sched_yield") => Some(Silence::Yield),
                                _ => None,
                            };
                            if let Some(silence) = silence {
                                self.wrapped.push(Wrapped { import: self.functions, ty, silence });
                            }
                            self.functions += 1;
                        }
                        TypeRef::Global(_) => self.flag += 1,
                        _ => {}
                    }
                }
            }
            Payload::FunctionSection(section) => {
                self.imported = self.functions;
                self.types = section.into_iter().collect::<wasmparser::Result<_>>()?;
                self.functions += self.types.len() as u32;
            }
            Payload::GlobalSection(section) => self.flag += section.count(),
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.name == "cabi_realloc" && export.kind == ExternalKind::Func {
                        self.realloc = Some(export.index);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn original(&self) -> u32 {
        self.realloc.expect("a module without cabi_realloc is not rewritten")
    }

    /// Index of the wrapper of an import: they come after all functions and the wrapper of `cabi_realloc`.
    fn wrapper(&self, import: u32) -> Option<u32> {
        self.wrapped.iter().position(|w| w.import == import).map(|n| self.functions + 1 + n as u32)
    }

    fn realloc_wrapper(&self) -> Function {
        let mut f = Function::new([]);
        f.instruction(&I::I32Const(1)).instruction(&I::GlobalSet(self.flag));
        for parameter in 0..4 {
            f.instruction(&I::LocalGet(parameter));
        }
        f.instruction(&I::Call(self.original()));
        f.instruction(&I::I32Const(0)).instruction(&I::GlobalSet(self.flag)).instruction(&I::End);
        f
    }

    /// (clock i32, precision i64, out i32) -> errno
    fn clock_wrapper(&self, import: u32) -> Function {
        let mem = MemArg { offset: 0, align: 3, memory_index: 0 };
        let mut f = Function::new([(1, ValType::I32)]);
        let on_clock = |f: &mut Function, clock: i32| {
            f.instruction(&I::LocalGet(0)).instruction(&I::I32Const(clock)).instruction(&I::I32Eq);
            f.instruction(&I::If(wasm_encoder::BlockType::Empty));
        };
        f.instruction(&I::GlobalGet(self.flag)).instruction(&I::If(wasm_encoder::BlockType::Empty));
        for clock in 0..4 {
            on_clock(&mut f, clock);
            f.instruction(&I::LocalGet(2)).instruction(&I::GlobalGet(self.flag + 1 + clock as u32));
            f.instruction(&I::I64Store(mem)).instruction(&I::End);
        }
        f.instruction(&I::I32Const(0)).instruction(&I::Return).instruction(&I::End);
        for parameter in 0..3 {
            f.instruction(&I::LocalGet(parameter));
        }
        f.instruction(&I::Call(import)).instruction(&I::LocalSet(3));
        for clock in 0..4 {
            on_clock(&mut f, clock);
            f.instruction(&I::LocalGet(2)).instruction(&I::I64Load(mem));
            f.instruction(&I::GlobalSet(self.flag + 1 + clock as u32)).instruction(&I::End);
        }
        f.instruction(&I::LocalGet(3)).instruction(&I::End);
        f
    }

    fn poll_wrapper(&self, import: u32) -> Function {
        let mem = MemArg { offset: 0, align: 2, memory_index: 0 };
        let mut f = Function::new([]);
        f.instruction(&I::GlobalGet(self.flag)).instruction(&I::If(wasm_encoder::BlockType::Empty));
        // no events
        f.instruction(&I::LocalGet(3)).instruction(&I::I32Const(0)).instruction(&I::I32Store(mem));
        f.instruction(&I::I32Const(0)).instruction(&I::Return).instruction(&I::End);
        for parameter in 0..4 {
            f.instruction(&I::LocalGet(parameter));
        }
        f.instruction(&I::Call(import)).instruction(&I::End);
        f
    }

    fn yield_wrapper(&self, import: u32) -> Function {
        let mut f = Function::new([]);
        f.instruction(&I::GlobalGet(self.flag)).instruction(&I::If(wasm_encoder::BlockType::Empty));
        f.instruction(&I::I32Const(0)).instruction(&I::Return).instruction(&I::End);
        f.instruction(&I::Call(import)).instruction(&I::End);
        f
    }
}

type Encoded<T> = std::result::Result<T, reencode::Error<std::convert::Infallible>>;

impl Reencode for Quiet {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Encoded<u32> {
        Ok(self.wrapper(function).unwrap_or(function))
    }

    fn parse_function_section(
        &mut self,
        section: &mut wasm_encoder::FunctionSection,
        reader: wasmparser::FunctionSectionReader<'_>,
    ) -> Encoded<()> {
        reencode::utils::parse_function_section(self, section, reader)?;
        section.function(self.types[(self.original() - self.imported) as usize]);
        for wrapped in &self.wrapped {
            section.function(wrapped.ty);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        section: &mut wasm_encoder::GlobalSection,
        reader: wasmparser::GlobalSectionReader<'_>,
    ) -> Encoded<()> {
        reencode::utils::parse_global_section(self, section, reader)?;
        let mutable = |val_type| GlobalType { val_type, mutable: true, shared: false };
        section.global(mutable(ValType::I32), &ConstExpr::i32_const(0));
        for _ in 0..4 {
            section.global(mutable(ValType::I64), &ConstExpr::i64_const(1));
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        section: &mut wasm_encoder::ExportSection,
        reader: wasmparser::ExportSectionReader<'_>,
    ) -> Encoded<()> {
        for export in reader {
            let export = export?;
            if export.name == "cabi_realloc" {
                section.export(export.name, ExportKind::Func, self.functions);
            } else {
                self.parse_export(section, export)?;
            }
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        section: &mut wasm_encoder::CodeSection,
        reader: wasmparser::CodeSectionReader<'_>,
    ) -> Encoded<()> {
        reencode::utils::parse_code_section(self, section, reader)?;
        section.function(&self.realloc_wrapper());
        for wrapped in &self.wrapped {
            section.function(&match wrapped.silence {
                Silence::Clock => self.clock_wrapper(wrapped.import),
                Silence::Poll => self.poll_wrapper(wrapped.import),
                Silence::Yield => self.yield_wrapper(wrapped.import),
            });
        }
        Ok(())
    }
}
