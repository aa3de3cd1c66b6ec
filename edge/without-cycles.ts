/**
 * Imported before all schemas. zod looks every schema over on first use, in case it or what it reads goes round in a circle; that alone
 * is a twentieth of the first answer. The Worker reads JSON and text, which cannot. Nor may it make functions of text, so zod need not try.
 */
import * as z from 'zod';

z.config({ jitless: true, memoizer: { attach() {}, guard() {}, alloc: (_schema, _payload, empty) => empty } });
