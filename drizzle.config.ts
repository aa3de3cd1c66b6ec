/** drizzle-kit: migrations/ from the schema (`npm run db:generate`). They are applied by gpu-backend/db/migrate.ts. */
import { defineConfig } from 'drizzle-kit';

export default defineConfig({ dialect: 'postgresql', schema: './gpu-backend/db/schema.ts', out: './migrations' });
