/** A Vulkan driver in software, for WebGPU without a graphics card: SwiftShader, as Chromium brings it along. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findBrowser } from '../../e2e/browser.ts';

const PACKAGED = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'];

/** The environment in which a process finds SwiftShader; `undefined` where no installed Chromium has it. */
export function softwareVulkan(): NodeJS.ProcessEnv | undefined {
  const browser = findBrowser();
  const folders = [
    ...(browser !== undefined && existsSync(browser) ? [dirname(realpathSync(browser))] : []),
    ...PACKAGED,
  ];
  const folder = folders.find((path) =>
    ['libvulkan.so.1', 'libvk_swiftshader.so', 'vk_swiftshader_icd.json'].every((file) => existsSync(join(path, file))),
  );
  if (folder === undefined) return undefined;
  return { LD_LIBRARY_PATH: folder, VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json') };
}
