/** Kinds of columns that several tables have. */
import { sql } from 'drizzle-orm';
import { bigint, customType, timestamp } from 'drizzle-orm/pg-core';

/** Int8 components of a vector, one byte each. */
export const int8Vector = customType<{ data: Int8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  toDriver: (vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
  fromDriver: (bytes) => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});

/** UTC, to the millisecond. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });

export const micros = (name: string) => bigint(name, { mode: 'number' });

/** The 64-bit number of the transaction that stores the row. */
const xact = customType<{ data: string }>({ dataType: () => 'xid8' });

export const storedBy = () => xact('xact').notNull().default(sql`pg_current_xact_id()`);
