/** `host:port` as URLs and configurations have it: an IPv6 address in brackets (RFC 3986, 3.2.2). */
export const authority = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
