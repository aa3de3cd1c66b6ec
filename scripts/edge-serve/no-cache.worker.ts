/** The Cache API where there is no data centre: it never has anything. One machine's memory and KV hold what is worth keeping. */
export default {
  async fetch(request: Request): Promise<Response> {
    await request.arrayBuffer();
    if (request.method === 'PUT') return new Response(null, { status: 204 });
    if (request.method === 'PURGE') return new Response(null, { status: 404 });
    return new Response(null, { status: 504, headers: { 'cf-cache-status': 'MISS' } });
  },
};
