"""What a report is made of, by DuckDB from the raw rows: the peer of bench/rollups.ts, which calls it.

    pip install duckdb && python bench/peers/rollups.py DIR EXPERIMENT THREADS RUNS

DIR has impressions.csv, exposures.csv, clicks.csv, conversions.csv. They become Parquet first, untimed. Prints one line of
JSON: seconds of each run; by arm units, sums, and sums over units of products; queries of bots; units in several arms.
"""
import json
import sys
import time
from pathlib import Path

import duckdb

MEASURES = ["queries", "covered", "shown", "clicks", "revenue", "conversions"]
PRODUCTS = [("revenue", "revenue"), ("revenue", "queries"), ("queries", "queries"), ("shown", "shown"),
            ("clicks", "clicks"), ("clicks", "shown"), ("covered", "covered"), ("covered", "queries"),
            ("shown", "queries"), ("conversions", "conversions")]

QUERY = f"""
with exposed as (
    select e.impression_id, e.arm, e.unit_id, i.bot, i.slot_count
    from exposures e join impressions i on i.id = e.impression_id where e.experiment = $experiment),
facts as (
    select unit_id, arm, bot, 1 as queries, (slot_count > 0)::int as covered, slot_count as shown,
        0 as clicks, 0::bigint as revenue, 0 as conversions from exposed
    union all
    select unit_id, arm, false, 0, 0, 0, 1, c.charge_micros, 0
    from exposed x join clicks c on c.impression_id = x.impression_id where not x.bot and not c.bot
    union all
    select unit_id, arm, false, 0, 0, 0, 0, 0, 1
    from exposed x join clicks c on c.impression_id = x.impression_id join conversions o on o.click_id = c.id
    where not x.bot and not c.bot),
units as (
    select unit_id, min(arm) as arm, min(arm) <> max(arm) as mixed,
        {", ".join(f"sum({m})::bigint as {m}" for m in MEASURES)}
    from facts where not bot group by unit_id)
select arm, mixed, count(*) as units, {", ".join(f"sum({m})::hugeint as {m}" for m in MEASURES)},
    {", ".join(f'sum({a}::hugeint * {b})::hugeint as "{a}*{b}"' for a, b in PRODUCTS)}
from units group by arm, mixed
union all by name
select 'bots' as arm, null as mixed, count(*) as units from exposed where bot
"""


def main():
    folder, experiment, threads, runs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    db = duckdb.connect(config={"threads": threads})
    for table in ["impressions", "exposures", "clicks", "conversions"]:
        db.execute(f"copy (from read_csv('{folder / table}.csv')) to '{folder / table}.parquet' (format parquet)")
        db.execute(f"create view {table} as from '{folder / table}.parquet'")
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        answer = db.execute(QUERY, {"experiment": experiment})
        names = [column[0] for column in answer.description]
        found = [dict(zip(names, row)) for row in answer.fetchall()]
        seconds.append(time.perf_counter() - began)
    arms = {row["arm"]: row for row in found if row["mixed"] is False}
    print(json.dumps({
        "seconds": seconds,
        "arms": {arm: {name: str(row[name]) for name in names if name not in ("arm", "mixed")} for arm, row in arms.items()},
        "bots": sum(row["units"] for row in found if row["mixed"] is None),
        "mixedUnits": sum(row["units"] for row in found if row["mixed"]),
    }))


main()
