/** The bundler hands a .wasm over as a compiled module (wrangler's default rule, and scripts/edge-build.ts). */
declare module '*.wasm' {
  const module: object;
  export default module;
}
