/** The floors as a stage: what the student must beat, trained on the same data against the same ads. */
import { join } from 'node:path';
import { type RecipeContext, runFolder } from '../context.ts';
import type { Floor } from '../floors/floor.ts';
import { trainNaiveStudent } from '../floors/naive.ts';
import { trainStaticStudent } from '../floors/static.ts';
import { shrunk } from '../phases/shrink.ts';
import type { Aligned } from './align.ts';
import { clickFiles } from './clicks.ts';
import { followTraining } from './follow.ts';
import type { RefinementInputs } from './refine.ts';
import type { Taught } from './teach.ts';
