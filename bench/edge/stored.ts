/** What the backend's embedded database holds, read when no backend runs on it. */
import { sql } from 'drizzle-orm';
import { openPglite, rows } from '../../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../../gpu-backend/db/data-folder.ts';

/** Rows of impressions. */
export async function storedImpressions(dataDir: string): Promise<number> {
  const folder = lockDataFolder(dataDir);
  const { db, close } = await openPglite(folder);
  try {
    return (await rows<{ n: number }>(db, sql`select count(*)::int as n from impressions`))[0]!.n;
  } finally {
    await close();
    folder.release();
  }
}
