/**
 * Requests that are serialised before the clock runs, over connections that stay open, one request under way on each.
 * Node's own client takes longer to make a request than the encoder service to answer it, and here both share the
 * cores.
 */
import { connect, type Socket } from 'node:net';

export interface PreparedRequests {
  /** Sends on a free connection, or on the next that becomes free; resolves with the status, 0 where the connection broke. */
  send(request: Buffer): Promise<number>;
  close(): void;
}

/** The bytes of a POST request with a JSON body. */
export function prepare(url: string, path: string, { headers, body }: { headers: string[]; body: string }): Buffer {
  const length = `content-length: ${Buffer.byteLength(body)}`;
  const head = [`POST ${path} HTTP/1.1`, `host: ${new URL(url).host}`, 'content-type: application/json', length];
  return Buffer.from(`${[...head, ...headers].join('\r\n')}\r\n\r\n${body}`);
}

interface Connection {
  socket: Socket;
  answer: ((status: number) => void) | undefined;
  /** What came of an answer's head. */
  head: string;
  status: number;
  /** Bytes of an answer that are still to come; `undefined` before its head is whole. */
  left: number | undefined;
}

/** The one read of all: what comes is looked at before the next is read. */
const buffer = Buffer.alloc(64 << 10);

/** Reads answers whose length is announced; others break the connection. */
export function preparedRequests({ url, connections }: { url: string; connections: number }): PreparedRequests {
  const { hostname, port } = new URL(url);
  const free: Connection[] = [];
  const waiting: { request: Buffer; answer: (status: number) => void }[] = [];
  let opened = 0;

  const begin = (connection: Connection, request: Buffer, answer: (status: number) => void) => {
    Object.assign(connection, { answer, head: '', left: undefined });
    connection.socket.write(request);
  };
  const end = (connection: Connection) => {
    const { answer, status } = connection;
    connection.answer = undefined;
    const next = waiting.shift();
    if (next === undefined) free.push(connection);
    else begin(connection, next.request, next.answer);
    answer?.(status);
  };
  const read = (connection: Connection, bytes: number): boolean => {
    let body = bytes;
    if (connection.left === undefined) {
      connection.head += buffer.toString('latin1', 0, bytes);
      const at = connection.head.indexOf('\r\n\r\n');
      if (at < 0) return true;
      const length = /\r\ncontent-length: *(\d+)/i.exec(connection.head.slice(0, at))?.[1];
      if (length === undefined) connection.socket.destroy();
      connection.status = Number(connection.head.slice(9, 12));
      body = connection.head.length - at - 4;
      connection.left = Number(length);
    }
    connection.left -= body;
    if (connection.left <= 0) end(connection);
    return true;
  };
  const open = (): Connection => {
    opened++;
    const onread = { buffer, callback: (bytes: number) => read(connection, bytes) };
    const socket = connect({ port: Number(port), host: hostname, noDelay: true, onread });
    const connection: Connection = { socket, answer: undefined, head: '', status: 0, left: undefined };
    socket.on('error', () => {}); // 'close' follows
    socket.once('close', () => {
      opened--;
      const at = free.indexOf(connection);
      if (at >= 0) free.splice(at, 1);
      connection.answer?.(0);
      const next = waiting.shift();
      if (next !== undefined) begin(open(), next.request, next.answer);
    });
    return connection;
  };
  return {
    send: (request) =>
      new Promise((answer) => {
        const connection = free.pop() ?? (opened < connections ? open() : undefined);
        if (connection === undefined) waiting.push({ request, answer });
        else begin(connection, request, answer);
      }),
    close: () => {
      for (const { socket } of free) socket.destroy();
    },
  };
}
