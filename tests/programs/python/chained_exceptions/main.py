"""A configuration loader whose error carries its cause, raised while another was handled."""
import json
from config import loader


class ConfigurationError(Exception):
    """Raised for a setting that cannot be used."""


def port_of(settings):
    try:
        return int(settings["port"])
    except KeyError:
        return 80
    except ValueError as error:
        raise ConfigurationError(f"port {settings['port']!r} is not a number") from error


for text in ('{"port": "8080"}', "{}", '{"port": }', '{"port": "http"}'):
    try:
        print(text, "->", port_of(loader.parse(text)))
    except json.JSONDecodeError as error:
        print(text, "-> not JSON at column", error.colno)
    except ConfigurationError:
        print(text, "-> giving up")
        loader.report()
