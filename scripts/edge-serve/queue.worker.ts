/**
 * Queues without Cloudflare: what a producer sends is on disk before it is acknowledged, and the Worker's own `queue`
 * handler gets it in batches, again after its delay when it asked for that, and as a dead letter after the last attempt.
 */
import type { ObjectState } from '../../edge/outbox/outbox.ts';
import type { ObjectNamespace } from '../../edge/outbox/outboxes.ts';

/** One queue as wrangler.toml describes its consumer. */
interface Consumer {
  maxBatchSize: number;
  /** Seconds. */
  maxBatchTimeout: number;
  maxRetries: number;
  deadLetterQueue?: string;
  /** Seconds. */
  retryDelay: number;
}

interface Delivered {
  outcome: string;
  retryBatch: { retry: boolean };
  retryMessages?: { msgId: string; delaySeconds?: number }[];
}

interface Bindings {
  QUEUES: ObjectNamespace;
  /** JSON of the consumers by queue. */
  CONSUMERS: string;
  EDGE: { queue(name: string, messages: unknown[]): Promise<Delivered> };
}

/** What is kept of a message, which is text: JSON of it. `undefined` for any other call. */
async function bodyOf(request: Request, action: string | undefined): Promise<string | undefined> {
  if (action !== 'message' || request.headers.get('x-msg-fmt') !== 'text') return undefined;
  return JSON.stringify(await request.text());
}

/** All queues in one object. */
export class Queues {
  readonly #storage: ObjectState['storage'];
  readonly #env: Bindings;
  readonly #consumers: Record<string, Consumer>;

  constructor({ storage }: ObjectState, env: Bindings) {
    this.#storage = storage;
    this.#env = env;
    this.#consumers = JSON.parse(env.CONSUMERS);
    // The index finds what is due: without it every batch would read all that waits, which is much after an outage.
    storage.sql.exec(
      `create table if not exists messages (id integer primary key autoincrement, queue text not null, body text not null,
         sent real not null, attempts integer not null, due real not null);
       create index if not exists messages_due on messages (queue, due);`,
    );
  }

  /** `POST /QUEUE/message`, as workerd's binding sends it. */
  async fetch(request: Request): Promise<Response> {
    const [, queue = '', action] = new URL(request.url).pathname.split('/');
    const consumer = this.#consumers[queue];
    const body = await bodyOf(request, action);
    if (body === undefined || consumer === undefined)
      return new Response('expected a message of text for a queue of wrangler.toml', { status: 400 });
    const now = Date.now();
    const due = now + consumer.maxBatchTimeout * 1_000;
    const insert = 'insert into messages (queue, body, sent, attempts, due) values (?, ?, ?, 0, ?)';
    this.#storage.sql.exec(insert, queue, body, now, due);
    const alarm = await this.#storage.getAlarm();
    if (alarm === null || alarm > due) await this.#storage.setAlarm(due);
    return Response.json({ metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } });
  }

  /**
   * One batch of each queue, then the next alarm: under load there is always more that is due, and dead letters would wait for its end, the
   * runtime not so long. Never throws: the runtime gives up on an alarm that fails too often.
   */
  async alarm(): Promise<void> {
    const queues = Object.entries(this.#consumers);
    for (const [queue, consumer] of queues) await this.#deliver(queue, consumer);
    const due = queues.flatMap(([queue]) => this.#nextDue(queue) ?? []);
    if (due.length > 0) await this.#storage.setAlarm(Math.min(...due));
  }

  #nextDue(queue: string): number | undefined {
    const [first] = this.#storage.sql
      .exec('select due from messages where queue = ? order by due limit 1', queue)
      .toArray();
    return first && Number(first.due);
  }

  /** One batch of what is due. */
  async #deliver(queue: string, consumer: Consumer): Promise<void> {
    const { sql } = this.#storage;
    const batch = sql
      .exec(
        'select * from messages where queue = ? and due <= ? order by due limit ?',
        queue,
        Date.now(),
        consumer.maxBatchSize,
      )
      .toArray();
    if (batch.length === 0) return;
    const messages = batch.map(({ id, sent, attempts, body }) => ({
      id: String(id),
      timestamp: new Date(Number(sent)),
      attempts: Number(attempts) + 1,
      body: JSON.parse(String(body)),
    }));
    const { outcome, retryBatch, retryMessages } = await this.#env.EDGE.queue(queue, messages).catch(
      (error: unknown): Delivered => {
        console.error(`the consumer of ${queue} failed: ${error}`);
        return { outcome: 'exception', retryBatch: { retry: true } };
      },
    );
    const all = retryBatch.retry || outcome !== 'ok';
    const delays = new Map(retryMessages?.map(({ msgId, delaySeconds }) => [msgId, delaySeconds]));
    for (const { id, attempts } of messages) {
      if (!all && !delays.has(id)) sql.exec('delete from messages where id = ?', Number(id));
      else if (attempts <= consumer.maxRetries) {
        const due = Date.now() + (delays.get(id) ?? consumer.retryDelay) * 1_000;
        sql.exec('update messages set attempts = ?, due = ? where id = ?', attempts, due, Number(id));
      } else if (consumer.deadLetterQueue !== undefined) {
        const move = 'update messages set queue = ?, attempts = 0, due = ? where id = ?';
        sql.exec(move, consumer.deadLetterQueue, Date.now(), Number(id));
      } else sql.exec('delete from messages where id = ?', Number(id));
    }
  }
}

export default {
  fetch: (request: Request, { QUEUES, NAME }: Bindings & { NAME: string }) => {
    const url = new URL(request.url);
    return QUEUES.get(QUEUES.idFromName('queues') as never).fetch(`https://queues/${NAME}${url.pathname}`, request);
  },
};
