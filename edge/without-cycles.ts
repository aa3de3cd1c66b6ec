/**
 * Imported before all schemas. On first use zod checks every schema for cycles, in it or in what it reads; that alone
 * is a twentieth of the first answer's time. The Worker reads JSON and text, which have none. Nor may it turn text into
 * functions, so zod need not try.
 */
import * as z from 'zod';

z.config({ jitless: true, memoizer: { attach() {}, guard() {}, alloc: (_schema, _payload, empty) => empty } });
