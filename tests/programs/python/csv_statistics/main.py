"""Sales report from a CSV file: totals per region, best month, simple statistics."""
import csv
import statistics
from collections import defaultdict

with open("sales.csv", newline="", encoding="utf-8") as source:
    rows = [
        {**row, "units": int(row["units"]), "price": float(row["price"])}
        for row in csv.DictReader(source)
    ]

revenue_by_region = defaultdict(float)
units_by_month = defaultdict(int)
for row in rows:
    revenue_by_region[row["region"]] += row["units"] * row["price"]
    units_by_month[row["month"]] += row["units"]

print(f"rows: {len(rows)}")
for region, revenue in sorted(revenue_by_region.items(), key=lambda item: -item[1]):
    print(f"{region:<16}{revenue:>12,.2f}")

best = max(units_by_month, key=units_by_month.get)
print(f"best month: {best} ({units_by_month[best]} units)")

prices = [row["price"] for row in rows]
print(f"price mean {statistics.mean(prices):.3f}  median {statistics.median(prices):.3f}  "
      f"stdev {statistics.stdev(prices):.3f}")

with open("summary.csv", "w", newline="", encoding="utf-8") as target:
    writer = csv.writer(target, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(["region", "revenue"])
    for region in sorted(revenue_by_region):
        writer.writerow([region, f"{revenue_by_region[region]:.2f}"])

with open("summary.csv", newline="", encoding="utf-8") as summary:
    print(summary.read().replace("\r\n", "\n"), end="")
