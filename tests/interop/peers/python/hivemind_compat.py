

# Appended to hivemind/__init__.py of 1.1.12: names of hivemind 1.1.10 that Petals 2.2.0.post1 imports from there.
def _export_what_petals_imports():
    import builtins
    import importlib

    asyncio_tools = importlib.import_module("hivemind.utils.asyncio")
    for name in ("anext", "aiter"):
        if not hasattr(asyncio_tools, name):
            setattr(asyncio_tools, name, getattr(builtins, name))
    here = globals()
    utils = importlib.import_module("hivemind.utils")
    for path in (
        "compression compression.serialization p2p p2p.p2p_daemon_bindings.control proto utils utils.asyncio "
        "utils.logging utils.mpfuture utils.nested utils.performance_ema utils.serializer utils.streaming "
        "utils.tensor_descr utils.timed_storage utils.networking utils.limits dht"
    ).split():
        module = importlib.import_module("hivemind." + path)
        for name, value in vars(module).items():
            is_module = type(value).__name__ == "module" or hasattr(value, "__path__")
            if name.startswith("_") or is_module:
                continue
            here.setdefault(name, value)
            if path.startswith("utils.") and not hasattr(utils, name):
                setattr(utils, name, value)


_export_what_petals_imports()
