//! The module that ships, on a host whose calls fail: the filter refuses a request
//! whose claims it cannot read or remove. Envoy's calls are not known to fail like
//! this; the rule does not depend on that.

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use wasmi::{Caller, Engine, Extern, Func, Instance, Linker, Module, Store, Val};

const OK: u32 = 0;
const INTERNAL_FAILURE: u32 = 10;

/// `Action`: what the host must do after a callback.
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

const ROOT: u32 = 1;
const STREAM: u32 = 2;

type Field = (&'static str, &'static str);

const REQUEST: [Field; 4] = [
    (":method", "POST"),
    (":path", "/api/v1/namespaces"),
    ("x-remote-user", "admin"),
    ("x-kept", "yes"),
];

/// A backend answers it, so its 404 must not have the request sent again.
const PROXIED: [Field; 2] =
    [(":method", "POST"), (":path", "/api/v1/namespaces/n/services/s/proxy/x")];

const TRAILERS: [Field; 2] = [("x-remote-group", "system:masters"), ("x-kept", "yes")];

/// The host's behavior, and the calls that it received.
#[derive(Debug, Default)]
struct Host {
    map: Vec<u8>,
    /// The headers or trailers of the callback at hand.
    fields: Vec<Field>,
    cannot_read: bool,
    cannot_replace: bool,
    cannot_leave: bool,
    replaced: Option<Vec<u8>>,
    answered: Option<u32>,
}

struct Filter {
    store: Store<Host>,
    instance: Instance,
}

impl Filter {
    fn start() -> Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, std::fs::read(Artifact::Filter.path()?)?)?;
        let map = std::fs::read(integration_folder().join("../discovery-map/golden/map.json"))?;
        let mut store = Store::new(&engine, Host { map, ..Host::default() });
        let linker = linker(&engine, &module, &mut store)?;
        let instance = linker.instantiate_and_start(&mut store, &module)?;
        let mut filter = Self { store, instance };
        filter.initialize()?;
        let size = u32::try_from(filter.store.data().map.len())?;
        ensure!(filter.call("proxy_on_configure", &[ROOT, size])? == 1, "the map is refused");
        Ok(filter)
    }

    fn initialize(&mut self) -> Result<()> {
        if let Ok(start) = self.instance.get_typed_func::<(), ()>(&self.store, "_initialize") {
            start.call(&mut self.store, ())?;
        }
        Ok(())
    }

    /// Calls the module. Returns its result.
    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<u32> {
        let callback = self.instance.get_func(&self.store, name).context("no such callback")?;
        let arguments: Vec<_> =
            arguments.iter().map(|&argument| Val::I32(argument.cast_signed())).collect();
        let mut results = [Val::I32(0)];
        callback.call(&mut self.store, &arguments, &mut results)?;
        let [result] = results;
        Ok(result.i32().context("no number")?.cast_unsigned())
    }

    fn request(&mut self) -> Result<u32> {
        self.enter("proxy_on_request_headers", &REQUEST, &[0])
    }

    fn proxied(&mut self) -> Result<u32> {
        self.enter("proxy_on_request_headers", &PROXIED, &[1])
    }

    fn trailers(&mut self) -> Result<u32> {
        self.enter("proxy_on_request_trailers", &TRAILERS, &[])
    }

    fn enter(&mut self, callback: &str, fields: &[Field], more: &[u32]) -> Result<u32> {
        self.store.data_mut().fields = fields.to_vec();
        let arguments = [&[STREAM, u32::try_from(fields.len())?], more].concat();
        self.call(callback, &arguments)
    }

    fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Returns the fields with which the module replaced all others.
    fn replaced(&self) -> String {
        let replaced = self.store.data().replaced.clone().unwrap_or_default();
        String::from_utf8_lossy(&replaced).into_owned()
    }
}

/// The host's functions that count here.
const COUNTED: [&str; 5] = [
    "proxy_get_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_send_local_response",
    "proxy_set_property",
];

/// Returns the host's functions: those that count here, and all others as functions that
/// succeed and do nothing.
fn linker(engine: &Engine, module: &Module, store: &mut Store<Host>) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    let [get_buffer, get_map, set_map, send, set_property] = COUNTED;
    linker.func_wrap("env", get_buffer, configuration)?;
    linker.func_wrap("env", get_map, read)?;
    linker.func_wrap("env", set_map, replace)?;
    linker.func_wrap("env", send, answer)?;
    linker.func_wrap("env", set_property, leave)?;
    for import in module.imports().filter(|import| !COUNTED.contains(&import.name())) {
        let wanted = import.ty().func().context("the module imports something else")?;
        let nothing = Func::new(&mut *store, wanted.clone(), |_, _, results| {
            results.fill(Val::I32(OK.cast_signed()));
            Ok(())
        });
        linker.define(import.module(), import.name(), nothing)?;
    }
    Ok(linker)
}

type Called<'c> = Caller<'c, Host>;

fn configuration(
    host: Called<'_>,
    _kind: u32,
    _start: u32,
    _max: u32,
    data: u32,
    size: u32,
) -> u32 {
    let map = host.data().map.clone();
    hand_over(host, &map, data, size)
}

fn read(host: Called<'_>, _map: u32, data: u32, size: u32) -> u32 {
    if host.data().cannot_read {
        return INTERNAL_FAILURE;
    }
    let fields = serialized(&host.data().fields);
    hand_over(host, &fields, data, size)
}

fn replace(mut host: Called<'_>, _map: u32, data: u32, size: u32) -> u32 {
    if host.data().cannot_replace {
        return INTERNAL_FAILURE;
    }
    let memory = host.get_export("memory").and_then(Extern::into_memory);
    let bytes = memory.and_then(|memory| {
        let start = usize::try_from(data).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        Some(memory.data(&host).get(start..end)?.to_vec())
    });
    host.data_mut().replaced = bytes;
    OK
}

fn leave(host: Called<'_>, _path: u32, _path_size: u32, _data: u32, _size: u32) -> u32 {
    if host.data().cannot_leave { INTERNAL_FAILURE } else { OK }
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn answer(
    mut host: Called<'_>,
    code: u32,
    _details: u32,
    _details_size: u32,
    _body: u32,
    _body_size: u32,
    _headers: u32,
    _headers_size: u32,
    _grpc_status: i32,
) -> u32 {
    host.data_mut().answered = Some(code);
    OK
}

/// Gives the module these bytes, in memory that it allocates.
fn hand_over(mut host: Called<'_>, bytes: &[u8], data: u32, size: u32) -> u32 {
    let handed = (|| -> Result<()> {
        let malloc = host.get_export("malloc").and_then(Extern::into_func).context("no malloc")?;
        let malloc = malloc.typed::<u32, u32>(&host)?;
        let length = u32::try_from(bytes.len())?;
        let at = malloc.call(&mut host, length)?;
        let memory = host.get_export("memory").and_then(Extern::into_memory);
        let memory = memory.context("no memory")?;
        memory.write(&mut host, usize::try_from(at)?, bytes)?;
        memory.write(&mut host, usize::try_from(data)?, &at.to_le_bytes())?;
        Ok(memory.write(&mut host, usize::try_from(size)?, &length.to_le_bytes())?)
    })();
    if handed.is_ok() { OK } else { INTERNAL_FAILURE }
}

/// Returns the ABI's form of a header map.
fn serialized(fields: &[Field]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or_default().to_le_bytes();
    let mut bytes = number(fields.len()).to_vec();
    for (name, value) in fields {
        bytes.extend([number(name.len()), number(value.len())].concat());
    }
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    bytes
}

#[test]
fn on_a_host_whose_calls_succeed_claims_are_removed_and_the_request_continues() -> Result<()> {
    let mut filter = Filter::start()?;
    assert_eq!(filter.request()?, CONTINUE);
    let sent = filter.replaced();
    assert!(sent.contains("x-kept") && !sent.contains("x-remote-user"), "{sent:?}");
    assert_eq!(filter.trailers()?, CONTINUE);
    let sent = filter.replaced();
    assert!(sent.contains("x-kept") && !sent.contains("x-remote-group"), "{sent:?}");
    assert_eq!(filter.host().answered, None);
    Ok(())
}

#[test]
fn a_request_with_unreadable_headers_is_refused() -> Result<()> {
    let mut filter = Filter::start()?;
    filter.host().cannot_read = true;
    assert_eq!((filter.request()?, filter.host().answered), (PAUSE, Some(503)));
    Ok(())
}

#[test]
fn a_request_whose_headers_cannot_be_replaced_is_refused() -> Result<()> {
    let mut filter = Filter::start()?;
    filter.host().cannot_replace = true;
    assert_eq!((filter.request()?, filter.host().answered), (PAUSE, Some(503)));
    Ok(())
}

#[test]
fn a_request_whose_response_interest_cannot_be_set_is_refused() -> Result<()> {
    let mut filter = Filter::start()?;
    assert_eq!((filter.proxied()?, filter.host().answered), (CONTINUE, None));
    filter.host().cannot_leave = true;
    assert_eq!((filter.proxied()?, filter.host().answered), (PAUSE, Some(503)));
    Ok(())
}

#[test]
fn a_request_with_unreadable_trailers_is_refused() -> Result<()> {
    let mut filter = Filter::start()?;
    assert_eq!(filter.request()?, CONTINUE);
    filter.host().cannot_read = true;
    assert_eq!((filter.trailers()?, filter.host().answered), (PAUSE, Some(503)));
    Ok(())
}

#[test]
fn a_request_whose_trailers_cannot_be_replaced_is_refused() -> Result<()> {
    let mut filter = Filter::start()?;
    assert_eq!(filter.request()?, CONTINUE);
    filter.host().cannot_replace = true;
    assert_eq!((filter.trailers()?, filter.host().answered), (PAUSE, Some(503)));
    Ok(())
}
