/**
 * A Worker that does nothing but encode: `POST /` with texts answers with their vectors, computed as often as `?times=`
 * says.
 */
import kernel from '../../edge/student/linear.wasm';
import { type BundleFiles, type LoadedStudent, loadStudent } from '../../edge/student/load.ts';
import { packFloats } from '../../shared/query-vector.ts';

let student: LoadedStudent | undefined;

export default {
  async fetch(request: Request, { STUDENT }: { STUDENT: BundleFiles }): Promise<Response> {
    if (request.method === 'GET') return new Response('ready');
    student ??= await loadStudent(STUDENT, kernel);
    const texts = (await request.json()) as string[];
    let vectors: Float32Array[] = [];
    for (let left = Number(new URL(request.url).searchParams.get('times')); left > 0; left--)
      vectors = texts.map((text) => student!.encode(text));
    return Response.json(vectors.map(packFloats));
  },
};
