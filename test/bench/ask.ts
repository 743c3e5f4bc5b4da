/** A question to a gateway's web listener; whose certificate it shows is not what is measured here. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export type Answer = { readonly status: number; readonly body: string };

/** @throws Error when nobody answers */
export function ask(url: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const question = request(url, { ...options, agent: false, rejectUnauthorized: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    question.on('error', reject);
    question.end();
  });
}
