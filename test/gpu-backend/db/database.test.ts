import { databaseConformance } from '../../conformance/database.ts';
import { DATABASES } from '../../setup/databases.ts';

for (const [name, open] of DATABASES) databaseConformance(name, open);
