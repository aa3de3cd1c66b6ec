/**
 * The served log, out of the database, as training may have it: visitors who agreed to be known and no bots; a unit that saw
 * an ad under a query more than once counts once; queries that few units asked are left out, because they may be of somebody.
 */
import { type SQL, sql } from 'drizzle-orm';
import { type Database, rows } from '../gpu-backend/db/connect.ts';
import { readExamination } from '../gpu-backend/experiments/designs/examination.ts';
import type { ShownAd } from '../training/data/log-dataset.ts';

export interface LogWindow {
  /** Units that must have asked a query in the same market. */
  minUnits: number;
  /**
   * Days before the newest impression that the test is made of, the validation before these, and the whole log. What a clock that is ahead
   * dates into the future is left out, and is not the newest.
   */
  testDays: number;
  validationDays: number;
  days: number;
}

/** What was shown, counted once; lives as long as the transaction that it was read in. */
export interface ShownLog {
  /** The transaction; nothing else may be asked while it lasts, because the embedded database has one session. */
  readonly db: Database;
  /** All rows of one query of one market after the other, in the order of their text; one reading at a time. */
  byQuery(): AsyncGenerator<ShownAd[]>;
  /** Looks by position in the training window, from ads that were shown in several places; `undefined` where none tells. */
  examination(): Promise<number[] | undefined>;
  /** What was left out for being asked by too few. */
  rare: { queries: number; impressions: number };
}

/** Rows read at a time. */
const PAGE = 20_000;

/** Reads the log in one snapshot, without a number of its own that the rollups would wait for (rollup-advance.ts), and hands it to `use`. */
export function readLog<T>(db: Database, window: LogWindow, use: (log: ShownLog) => Promise<T>): Promise<T> {
  const { asked, known, shown } = queriesOf(window);
  return db.transaction(
    async (tx) => {
      const [rare] = await rows<ShownLog['rare']>(
        tx,
        sql`with asked as (${asked}), known as (${known})
          select count(*)::int as queries, coalesce(sum(impressions), 0)::int as impressions from known where not known`,
      );
      await tx.execute(sql`set local cursor_tuple_fraction = 1`); // all of it is read
      await tx.execute(
        sql`declare shown scroll cursor for
          select market, query, part, ad_id as "adId", position, shown, clicks, searches from (${shown}) shown
          order by market, query, part, ad_id, position`,
      );
      return use({
        db: tx,
        rare: rare!,
        async *byQuery() {
          await tx.execute(sql`move absolute 0 in shown`);
          let group: ShownAd[] = [];
          for (;;) {
            const found = await rows<ShownAd>(tx, sql.raw(`fetch ${PAGE} from shown`));
            for (const row of found) {
              if (group.length > 0 && (group[0]!.query !== row.query || group[0]!.market !== row.market)) {
                yield group;
                group = [];
              }
              group.push(row);
            }
            if (found.length < PAGE) break;
          }
          if (group.length > 0) yield group;
        },
        examination: () =>
          readExamination(
            tx,
            sql`select market, query, ad_id, position, shown, clicks from (${shown}) shown where part = 'train'`,
          ),
      });
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  );
}

/** The impressions of the window, which queries of them many asked, and what was shown under these. */
function queriesOf({ testDays, validationDays, days, minUnits }: LogWindow): Record<'asked' | 'known' | 'shown', SQL> {
  const day = (days: number) =>
    sql`(select max(at) from impressions where at <= now()) - make_interval(days => ${days}::int)`;
  // QUERY_LOG = digest keeps no words: there is nothing to train on in those rows.
  const asked = sql`select id, unit_id, market, query, slots, (at at time zone 'utc')::date as day,
      case when at > ${day(testDays)} then 'test' when at > ${day(testDays + validationDays)} then 'validation'
        else 'train' end as part
    from impressions
    where consent and not bot and not qa and query <> '' and query not like 'digest:%' and at > ${day(days)} and at <= now()`;
  const known = sql`select market, query, count(distinct unit_id) >= ${minUnits}::int as known, count(*)::int as impressions
    from asked group by 1, 2`;
  const shown = sql`with asked as (${asked}), known as (${known}),
    searched as (
      select market, query, part, count(distinct (unit_id, day))::int as searches from asked group by 1, 2, 3
    ), seen as (
      select a.market, a.query, a.part, a.unit_id, slot.value ->> 'adId' as ad_id,
        min((slot.value ->> 'position')::int) as position, bool_or(c.id is not null) as clicked
      from asked a
      join known k on k.market = a.market and k.query = a.query and k.known
      cross join jsonb_array_elements(a.slots) slot
      left join clicks c on c.impression_id = a.id and not c.bot and c.position = (slot.value ->> 'position')::int
      group by 1, 2, 3, 4, 5
    ), counted as (
      select market, query, part, ad_id, position, count(*)::int as shown, count(*) filter (where clicked)::int as clicks
      from seen group by 1, 2, 3, 4, 5
    )
    select * from counted join searched using (market, query, part)`;
  return { asked, known, shown };
}
