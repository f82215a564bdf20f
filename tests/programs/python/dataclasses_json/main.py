"""A small order model: dataclasses, enums, typing, JSON both ways, pickle and copy."""
from __future__ import annotations

import copy
import dataclasses
import enum
import json
import pickle
import typing
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Generic, List, NamedTuple, Optional, Protocol, TypeVar


class Status(enum.Enum):
    NEW = "new"
    PAID = "paid"
    SHIPPED = "shipped"


class Permission(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


@dataclass(order=True)
class Item:
    price_cents: int
    name: str = field(compare=False)
    tags: List[str] = field(default_factory=list, compare=False)


@dataclass
class Order:
    number: int
    placed: date
    items: List[Item]
    status: Status = Status.NEW
    note: Optional[str] = None
    total: int = field(init=False)

    def __post_init__(self):
        self.total = sum(item.price_cents for item in self.items)


class Encoder(json.JSONEncoder):
    def default(self, value):
        if dataclasses.is_dataclass(value):
            return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, date):
            return value.isoformat()
        return super().default(value)


def order_from(data):
    return Order(
        data["number"], date.fromisoformat(data["placed"]),
        [Item(**item) for item in data["items"]], Status(data["status"]), data["note"],
    )


class Shape(Protocol):
    def area(self) -> float: ...


T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, content: T):
        self.content = content


class Pair(NamedTuple):
    left: int
    right: int = 0


order = Order(7, date(2024, 2, 28), [Item(1250, "lamp", ["light", "家"]), Item(300, "bulb")], note="⚡")
text = json.dumps(order, cls=Encoder, indent=2, sort_keys=True, ensure_ascii=False)
print(text)
print("round trip:", order_from(json.loads(text)) == order)
print("pickle:", pickle.loads(pickle.dumps(order)) == order, pickle.loads(pickle.dumps(Status.PAID)))
print("cheapest:", min(order.items).name, "| replaced:", dataclasses.replace(order.items[0], name="torch"))
print("hints:", typing.get_type_hints(Order)["items"], typing.get_type_hints(Item)["name"])
print(Permission.READ | Permission.WRITE == Permission(3), Permission.READ in Permission(3))
print(order.placed + timedelta(days=2), order.placed.strftime("%A %d %B %Y"),
      datetime(2024, 1, 1, tzinfo=timezone.utc).isoformat())
print(Pair(3)._asdict(), namedtuple("P", "x y")(1, 2), Box[int](5).content)
deep = copy.deepcopy(order)
deep.items[0].tags.append("changed")
print(len(order.items[0].tags), len(deep.items[0].tags))
print(Counter("mississippi").most_common(2), list(OrderedDict(b=1, a=2)))
print(json.loads('[1e3, -0.5, null, true, "\\u00e9\\ud83d\\ude00", NaN]')[:5])
try:
    json.dumps({"x": {1, 2}})
except TypeError as error:
    print(error)
