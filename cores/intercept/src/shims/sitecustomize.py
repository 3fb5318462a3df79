# Loaded into Python programs from PYTHONPATH. Names of intercepted hosts on port 443 resolve
# to Offhook's door; TLS still names and checks the original host.
import os
import sys


def _redirect():
    host, _, port = os.environ.get("OFFHOOK_DOOR", "").partition(":")
    if not port:
        return
    import socket

    door = (host, int(port))
    domains = __DOMAINS__

    def ours(name, service):
        if isinstance(name, (bytes, bytearray)):
            name = bytes(name).decode("ascii", "replace")
        if not isinstance(name, str) or str(service) not in ("443", "https"):
            return False
        name = name.lower().rstrip(".")
        return any(name == domain or name.endswith("." + domain) for domain in domains)

    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if ours(host, port):
            host, port = door
        return resolve(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo

    def uvloop(module):
        # Its loop resolves in C; the class that programs get is Python's.
        base = module.Loop

        class Loop(base):
            async def getaddrinfo(self, host, port, **kwargs):
                if ours(host, port):
                    host, port = door
                return await super().getaddrinfo(host, port, **kwargs)

            async def create_connection(self, factory, host=None, port=None, **kwargs):
                if ours(host, port):
                    if kwargs.get("ssl") and kwargs.get("server_hostname") is None:
                        kwargs["server_hostname"] = host
                    host, port = door
                return await super().create_connection(factory, host, port, **kwargs)

        Loop.__name__, Loop.__qualname__, Loop.__module__ = base.__name__, base.__qualname__, base.__module__
        module.Loop = Loop

    def aiohttp(module):
        # With aiodns it does not ask the socket module; it does know proxies.
        session = module.ClientSession
        init = session.__init__

        def __init__(self, *args, **kwargs):
            kwargs.setdefault("trust_env", True)
            init(self, *args, **kwargs)

        session.__init__ = __init__

    after = {"uvloop": uvloop, "aiohttp.client": aiohttp}

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            patch = after.pop(name, None)
            if patch is None:
                return None
            import importlib.util

            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                return spec
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder)


def _shadowed():
    # The sitecustomize that this one stands before, if there is one.
    import importlib.machinery
    import importlib.util

    # Runs within runs put several of these on the path: none is loaded twice.
    loaded = sys.__dict__.setdefault("_offhook_shims", set())
    loaded.add(os.path.dirname(os.path.abspath(__file__)))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") not in loaded]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_redirect()
_shadowed()
