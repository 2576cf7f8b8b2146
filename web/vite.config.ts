import { defineConfig } from "vite";

// Each page is built on its own into the folder of the Go code that embeds it: `--mode board` and `--mode demo`.
const outputs: Record<string, string> = {
  board: "../../../board/ui",
  demo: "../../../cmd/herz/internal/demo/page/dist",
};

export default defineConfig(({ mode }) => {
  const outDir = outputs[mode];
  if (outDir === undefined) throw new Error(`no such page: ${mode}; use --mode board or --mode demo`);
  return {
    root: `pages/${mode}`,
    base: "./",
    publicDir: "../../public",
    esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2021",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      rollupOptions: { output: { entryFileNames: "assets/[name]-[hash].js", assetFileNames: "assets/[name]-[hash][extname]" } },
    },
  };
});
