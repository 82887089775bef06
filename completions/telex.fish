# Completes telex in fish. Made from telex's commands by `telex completion fish`; changes here are lost.
#
# Nothing is started at a Tab: names come from plain lists in telex's cache folder, which fish's builtins read.

# Sets the caller's `commands`, `options` and `arguments` to those of the command $path. Each is a name, or an option's
# spellings, with what a value may be, and behind a tab a few words; with a star, an option may be given again, and an
# argument takes all words that follow.
function __telex_table --no-scope-shadowing
    set commands
    set options
    set arguments
    switch "$path"
        case 'telex'
            set commands 'chat	Send a prompt and stream the answer.' 'batch	Send a prompt for each row of a file.' 'models	List models, set aliases and the default model.' 'providers	Set up providers (the APIs that telex sends prompts to).' 'mcp	Set up MCP servers whose tools a model may call.' 'history	List, search and remove saved conversations.' 'test	Check the answers to prompts and templates.' 'usage	Show the tokens and the cost of past requests.' 'templates	Save and reuse prompts with variables.' 'config	Read and change the settings.' 'trust	Use the settings in a project\'s .telex.toml.' 'shell	Propose a command for your shell, and explain commands.' 'completion	Set up shell completion.' 'doctor	Check the installation and suggest fixes.' 'help	Show help for a topic or a command.'
            set options '-V,--version	Show the version and exit.' '--profile name profiles	Use a profile of the settings: its default model, providers and budget.' '-h,--help	Show this message and exit.'
        case 'telex chat'
            set options '*-m,--model name models	Model to use: an alias, PROVIDER/MODEL, a provider, or a model name that only one provider has. Repeat to ask several models; each answer gets a heading.' '-s,--system any	Set the system message.' '--template name templates	Use a saved prompt (see telex templates). Options given here override it.' '*--var any	Set a template variable.' '*-f,--file files	Put a file, a folder, the files that match a quoted pattern, lines of a file (a.py:10-40), a PDF, or a web page before the prompt; - is stdin. Repeatable.' '*-i,--image files	Attach an image: a file, an https address, or - for stdin. Repeatable.' '--paste	Attach the text or the image in the clipboard.' '--attach-limit any	Maximum size of all folders and patterns of -f together, such as 500kB or 10MB. [default: 2MB]' '-c,--continue	Continue the most recently used conversation.' '--conversation any	Continue this conversation: an id, the first four or more characters of an id, or all or part of a title.' '--no-save	Do not save this chat in the history; telex usage counts it.' '--stream,--no-stream	Print the answer as it arrives (default), or all at once.' '--max-tokens any	Limit the answer to N tokens.' '--whole	Continue an answer that a token limit or a broken connection cuts, until it is complete.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--reasoning one show hide summary	How much of the model\'s reasoning to show: show, hide or summary (one line). [default: show]' '--markdown,--plain	Render Markdown (default on a terminal), or print it unchanged.' '--json	Print one JSON object at the end.' '--jsonl	Print one JSON object for each event, one per line, as it happens.' '--web	Let the provider search the web; its sources follow the answer.' '-x,--extract	Print only the first code block; if there is none, print the whole answer, with a note on stderr.' '--schema any	Request JSON that matches a schema: a file, JSON, or fields such as "name, age int".' '--schema-retries any	Retries when the answer does not match the schema.' '*--tools name servers	Let the model call the tools of these MCP servers; all means every enabled one (see telex mcp).' '*--allow any	Run tools matching PATTERN without asking for approval, such as server/read_*. Repeatable.' '--tool-choice any	Control tool use: auto, required, none, or the name of one tool.' '--max-turns any	Maximum number of requests in a tool-calling loop.' '--max-cost any	Stop before a request that would bring the cost of this chat above this.' '-o,--output any	Write the answer to FILE. If telex does not exit with 0, FILE is unchanged and the output goes to FILE.partial.' '--copy	Copy the answer to the clipboard, if it is complete.' '--save-images any	Write the images of the answer to new files in DIR.' '--dry-run	Print the request, with the key redacted, and exit.' '*-v,--verbose	Log the request and the response headers to stderr; -vv also logs the response body.' '-u,--usage	Print tokens, cost and times in full, after the answer.' '-q,--quiet	Print only the answer and errors. Reasoning is hidden unless you give --reasoning.' '--no-stdin	Do not read stdin.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--timeout any	Give up when the server sends nothing for this many seconds. [default: 600 for the first byte, then 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '--profile name profiles	Use a profile, as telex --profile NAME does.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex batch'
            set commands 'status	Show the jobs that a provider runs for a batch.' 'cancel	Cancel the jobs that a provider runs for a batch.'
            set options '*-m,--model name models	Model to use, as for telex chat. Repeat to share the rows among several.' '-s,--system any	Set the system message.' '--template name templates	Use a saved prompt (see telex templates). Options given here override it.' '*--var any	Set a template variable.' '--input-format one jsonl csv tsv lines	Format of the input. [default: from the file\'s name, or else its first character]' '--id-column any	Column that identifies a row. [default: id, or else the number and the content of the row]' '--each-file	The input is names of text files, as arguments or one per line on stdin; each file is a row.' '-o,--output files	Append the results to FILE. Repeat the command to run the rows that are missing, failed or incomplete.' '--output-dir folders	With --each-file, write each answer to a file of the same name in DIR.' '--format one jsonl csv tsv	Format of the results. [default: from the name of the output, or else jsonl]' '--columns any	Copy these columns of the input to the results.' '--csv-safe	Put an apostrophe before cells that a spreadsheet would run as a formula.' '--ordered	Write the results in the order of the input. A file is sorted at the end.' '-x,--extract	Keep only the first code block of each answer; if it has none, the whole answer.' '--via one provider dask	Run the rows with the provider\'s own Batch API (takes up to a day, often at half the price), or on a Dask cluster.' '--scheduler any	With --via dask, the cluster: tcp://HOST:8786.' '--fresh	Discard the results in the output, and start over.' '--retry-failed	Run only the rows that failed or are incomplete.' '--limit any	Run at most N rows.' '--sample any	Run N rows from the whole input, the same ones each time.' '--dry-run	Print the number of rows, estimated tokens and cost, and the first request; send nothing.' '-j,--jobs any	Maximum number of requests in flight for each model. [default: adapts to the server, up to 64]' '--rpm any	Start at most N requests a minute.' '--tpm any	Use at most about N tokens a minute.' '--max-errors any	Stop when N rows have failed.' '--max-cost any	Stop before the batch costs more. Unknown costs do not count.' '--deadline any	Start no row after TIME, such as 90s, 30m or 8h. Rows in flight get 30 seconds more.' '--max-tokens any	Limit the answer to N tokens.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--schema any	Request JSON that matches a schema: a file, JSON, or fields such as "name, age int".' '--schema-retries any	Retries when the answer does not match the schema.' '--stream,--no-stream	Receive answers as they arrive (default), or each all at once.' '-q,--quiet	Print only errors and failed rows on stderr.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--timeout any	Give up when the server sends nothing for this many seconds. [default: 600 for the first byte, then 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '--profile name profiles	Use a profile, as telex --profile NAME does.' '-h,--help	Show this message and exit.'
            set arguments '*files'
        case 'telex batch status'
            set options '-m,--model name models	With the id of a batch, its provider, or a model of it.' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex batch cancel'
            set options '-m,--model name models	With the id of a batch, its provider, or a model of it.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex models'
            set commands 'list	List the models of all usable providers.' 'show	Show what telex knows about a model.' 'add	Add a model to the settings, or override what is known.' 'edit	Change a model\'s settings.' 'remove	Remove a model from the settings.' 'alias	Set, show or remove short names for models.' 'default	Show or set the default model.'
            set options '-h,--help	Show this message and exit.'
        case 'telex models list'
            set options '*-P,--provider name providers	List only the models of this provider. Repeatable.' '--reasoning	List only models that are known to reason.' '--tools	List only models that are known to call tools.' '--vision	List only models that are known to read images.' '--all	Include models that do not chat: embeddings, speech, images.' '--max-price any	List only models whose input and output cost no more than this, in dollars per million tokens.' '--sort one name price	Sort by name, or by price of input and output together, the cheapest first.' '--refresh	Ask the servers for their current lists first.' '--json	Print a JSON list.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex models show'
            set options '--json	Print a JSON object.' '-h,--help	Show this message and exit.'
            set arguments 'name models'
        case 'telex models add'
            set options '--name any	Name to show in lists.' '--context any	Context window, in tokens.' '--max-output any	Longest answer, in tokens.' '--reasoning,--no-reasoning	Whether the model reasons.' '--tools,--no-tools	Whether the model calls tools.' '--vision,--no-vision	Whether the model reads images.' '--price-in any	Price of input, in dollars per million tokens.' '--price-out any	Price of output, per million tokens.' '--price-cached any	Price of input read from the cache.' '--price-cache-write any	Price of input written to the cache.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '--max-tokens any	Limit answers to N tokens.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--stream,--no-stream	Request answers as they are generated, or all at once.' '--web,--no-web	Let the provider search the web for each answer, or not.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '*--header any	Send a header with every request. Repeatable.' '--connect-timeout any	Give up when no connection is made within this many seconds.' '--timeout any	Give up when the server sends nothing for this many seconds.' '--retries any	Times to retry a request that fails before any text arrives.' '-h,--help	Show this message and exit.'
            set arguments 'name models' 'of models 0'
        case 'telex models edit'
            set options '--name any	Name to show in lists.' '--context any	Context window, in tokens.' '--max-output any	Longest answer, in tokens.' '--reasoning,--no-reasoning	Whether the model reasons.' '--tools,--no-tools	Whether the model calls tools.' '--vision,--no-vision	Whether the model reads images.' '--price-in any	Price of input, in dollars per million tokens.' '--price-out any	Price of output, per million tokens.' '--price-cached any	Price of input read from the cache.' '--price-cache-write any	Price of input written to the cache.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '--max-tokens any	Limit answers to N tokens.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--stream,--no-stream	Request answers as they are generated, or all at once.' '--web,--no-web	Let the provider search the web for each answer, or not.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '*--header any	Send a header with every request. Repeatable.' '--connect-timeout any	Give up when no connection is made within this many seconds.' '--timeout any	Give up when the server sends nothing for this many seconds.' '--retries any	Times to retry a request that fails before any text arrives.' '*--unset one name context max-output reasoning tools vision price-in price-out price-cached price-cache-write temperature max-tokens reasoning-effort stream web param header connect-timeout timeout retries	Remove a setting, named like its option: context, temperature; param.NAME and header.NAME remove one. Repeatable.' '-h,--help	Show this message and exit.'
            set arguments 'name models' 'of models 0'
        case 'telex models remove'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name models' 'of models 0'
        case 'telex models alias'
            set options '-s,--system any	Set the system message.' '--template name templates	Use a saved prompt (see telex templates).' '-t,--temperature any	Set the sampling temperature; sent only if given.' '--max-tokens any	Limit answers to N tokens.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--stream,--no-stream	Request answers as they are generated, or all at once.' '--web,--no-web	Let the provider search the web for each answer, or not.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '*--tools name servers	Let the model call the tools of these MCP servers. Repeatable.' '*--allow any	Run tools matching PATTERN without asking for approval. Repeatable.' '--connect-timeout any	Give up when no connection is made within this many seconds.' '--timeout any	Give up when the server sends nothing for this many seconds.' '--retries any	Times to retry a request that fails before any text arrives.' '--max-cost any	Stop before a request that would bring the cost above this.' '*--unset one system template temperature max-tokens reasoning-effort stream web param tools allow connect-timeout timeout retries max-cost	Remove an option from the alias, such as temperature; param.NAME removes one field. Repeatable.' '--remove	Remove the alias.' '-h,--help	Show this message and exit.'
            set arguments 'name aliases' '*name models'
        case 'telex models default'
            set options '--unset	Remove the default.' '-h,--help	Show this message and exit.'
            set arguments 'name models'
        case 'telex providers'
            set commands 'add	Set up a provider and check that it works.' 'list	List the providers that can be used, and the sources of their keys.' 'show	Show the settings of a provider.' 'presets	Search the providers that can be set up by name alone.' 'test	Check that providers answer, step by step.' 'discover	Find the model servers that run on this machine.' 'edit	Change the settings of a provider.' 'set-key	Change the source of a provider\'s key.' 'set-secret	Store a secret for providers\' headers in the keyring.' 'rename	Rename a provider.' 'remove	Remove a provider and its key.' 'export	Write the providers to a file, without their keys.' 'import	Set up the providers in a file.'
            set options '-h,--help	Show this message and exit.'
        case 'telex providers add'
            set options '--preset name presets	Take all settings you do not give from this preset.' '--base-url any	The base address of the API, without /chat/completions.' '*--replica any	A further address of the same models, to share the rows of a batch. Repeatable.' '*--set any	Set a part of the preset\'s address, such as account_id=ID. Repeatable.' '--gguf files	Run this model file on this machine, without a server.' '--no-key	Send no key, because the server needs none.' '--key-stdin	Read the key from stdin and store it in the keyring.' '--key-env any	Read the key from an environment variable.' '--key-command any	Read the key from the output of a command, run for each chat.' '--display-name any	Name to show in lists.' '*--model any	List this model instead of the preset\'s models; the first one given is the default. Repeatable.' '*--header any	Send a header with every request. Repeatable.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '--max-tokens any	Limit answers to N tokens.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--stream,--no-stream	Request answers as they are generated, or all at once.' '--web,--no-web	Let the provider search the web for each answer, or not.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '--proxy any	Use this proxy; none: no proxy for this provider.' '--ca-bundle files	Trust these certificates instead of the system\'s.' '--client-cert files	Present a client certificate: a PEM file with its key.' '--allow-http	Allow sending the key over plain http to a host that is not local.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--first-byte-timeout any	Give up when no answer begins within this many seconds. [default: 600]' '--idle-timeout any	Give up when an answer pauses for this many seconds. [default: 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '--retry-budget any	Start no retry after this many seconds. [default: 120]' '--rpm any	Maximum number of requests a minute in telex batch.' '--tpm any	Maximum number of tokens a minute in telex batch, prompts and answers together.' '--no-verify	Save without checking that the server answers.' '--replace	Replace the provider with this name.' '-h,--help	Show this message and exit.'
            set arguments 'name presets'
        case 'telex providers list'
            set options '--json	Print a list of JSON objects.' '--check-keys	Look up the keys, and show the last 4 characters of long ones.' '-h,--help	Show this message and exit.'
        case 'telex providers show'
            set options '--json	Print a JSON object.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers presets'
            set options '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex providers test'
            set options '--all	Test all enabled providers.' '--model any	Ask this model instead of the default one.' '--deep	Also test which features the model supports (about a dozen short requests).' '--timeout any	Give up on a server after this many seconds.' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
            set arguments '*name providers'
        case 'telex providers discover'
            set options '*--port any	Look only at this port instead of the usual ones. Repeatable.' '--add	Set up all new servers that need no key, without asking.' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
        case 'telex providers edit'
            set options '--preset name presets	Take all settings you do not give from this preset.' '--base-url any	The base address of the API, without /chat/completions.' '*--replica any	A further address of the same models, to share the rows of a batch. Repeatable.' '*--set any	Set a part of the preset\'s address, such as account_id=ID. Repeatable.' '--gguf files	Run this model file on this machine, without a server.' '--no-key	Send no key, because the server needs none.' '--key-stdin	Read the key from stdin and store it in the keyring.' '--key-env any	Read the key from an environment variable.' '--key-command any	Read the key from the output of a command, run for each chat.' '--display-name any	Name to show in lists.' '*--model any	List this model instead of the preset\'s models; the first one given is the default. Repeatable.' '--default-model of models 0	Model to use when only the provider is named.' '--enable,--disable	Enable or disable the provider.' '*--header any	Send a header with every request. Repeatable.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '--max-tokens any	Limit answers to N tokens.' '--reasoning-effort any	How much the model reasons: none, low, medium, high, …' '--stream,--no-stream	Request answers as they are generated, or all at once.' '--web,--no-web	Let the provider search the web for each answer, or not.' '*-p,--param any	Set a field of the request body. VALUE is JSON, or else a string. Repeatable.' '--proxy any	Use this proxy; none: no proxy for this provider.' '--ca-bundle files	Trust these certificates instead of the system\'s.' '--client-cert files	Present a client certificate: a PEM file with its key.' '--allow-http	Allow sending the key over plain http to a host that is not local.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--first-byte-timeout any	Give up when no answer begins within this many seconds. [default: 600]' '--idle-timeout any	Give up when an answer pauses for this many seconds. [default: 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '--retry-budget any	Start no retry after this many seconds. [default: 120]' '--rpm any	Maximum number of requests a minute in telex batch.' '--tpm any	Maximum number of tokens a minute in telex batch, prompts and answers together.' '*--unset one preset base-url replica set gguf key-env key-command display-name model default-model header temperature max-tokens reasoning-effort stream web param proxy ca-bundle client-cert allow-http connect-timeout first-byte-timeout idle-timeout retries retry-budget rpm tpm	Remove a setting, named like its option: proxy, idle-timeout; header.NAME and param.NAME remove one. Repeatable.' '--no-verify	Save a new key without checking it.' '--trust	Allow sending the stored key with the changed address, proxy or CA bundle.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers set-key'
            set options '--no-key	Send no key, because the server needs none.' '--key-stdin	Read the key from stdin and store it in the keyring.' '--key-env any	Read the key from an environment variable.' '--key-command any	Read the key from the output of a command, run for each chat.' '--no-verify	Save the key without checking it.' '--allow-http	Allow sending the key over plain http to a host that is not local.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers set-secret'
            set options '--stdin	Read the secret from stdin.' '--for any	Allow sending the secret to this address, if no header refers to it yet.' '--remove	Remove the secret from the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex providers rename'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name providers' 'any'
        case 'telex providers remove'
            set options '-y,--yes	Do not ask for confirmation.' '--keep-key	Keep the key in the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers export'
            set options '--format one toml json	File format; by default from the name of FILE, or else toml.' '*--only name providers	Export only this provider. Repeatable.' '--replace	Replace FILE if it exists.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex providers import'
            set options '--replace	Replace providers with the same names.' '*--trust any	Allow the file to change where the key of this provider is sent. Repeatable.' '--allow-commands	Accept key commands, which run on this machine.' '--allow-http	Allow sending keys over plain http to hosts that are not local.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex mcp'
            set commands 'add	Set up an MCP server: a command or an address.' 'list	List the MCP servers that are set up.' 'test	Start MCP servers, list their tools, and time each step.' 'tools	Start an MCP server and list its tools.' 'set-secret	Store a secret for MCP servers in the keyring.' 'import	Import MCP servers from another client\'s file.' 'remove	Remove an MCP server and its secrets.'
            set options '-h,--help	Show this message and exit.'
        case 'telex mcp add'
            set options '--url any	The address of an MCP server over HTTP, instead of a command.' '*--env any	Set an environment variable of the server. Repeatable.' '*--header any	Send a header with every request. Repeatable.' '--cwd folders	Run the command in this folder.' '--timeout any	Give up on a call after this many seconds without progress, and after ten times as long in any case. [default: 60]' '--start-timeout any	Give up on the start after this many seconds. [default: 30]' '--max-result any	Remove the middle of a result that is longer than this. [default: 100000]' '*--allow any	Run tools matching PATTERN without asking for approval, such as read_*. Repeatable.' '--allow-http	Allow sending secrets over plain http to a host that is not local.' '--replace	Replace the server with this name.' '-h,--help	Show this message and exit.'
            set arguments 'any' '*any'
        case 'telex mcp list'
            set options '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
        case 'telex mcp test'
            set options '--timeout any	Give up on a start after this many seconds. [default: the server\'s --start-timeout, or 30]' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
            set arguments '*name servers'
        case 'telex mcp tools'
            set options '--json	Print a list of JSON objects, with the schema of each tool.' '-h,--help	Show this message and exit.'
            set arguments 'name servers'
        case 'telex mcp set-secret'
            set options '--stdin	Read the secret from stdin.' '--for any	Allow sending the secret to this address, if no header refers to it yet.' '--remove	Remove the secret from the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex mcp import'
            set options '*--only any	Import only this server. Repeatable.' '--replace	Replace servers with the same names.' '--secrets one keyring env	Store plain secrets in the keyring, or read them from variables with the same names.' '--allow-http	Allow sending secrets over plain http to hosts that are not local.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex mcp remove'
            set options '-y,--yes	Do not ask for confirmation.' '--keep-secrets	Keep its secrets in the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'name servers'
        case 'telex history'
            set commands 'list	List conversations, most recently used first.' 'show	Show a conversation, or only its last answer.' 'search	Search prompts and answers.' 'export	Write conversations as Markdown or JSON Lines.' 'rename	Rename a conversation.' 'remove	Permanently delete conversations.' 'prune	Permanently delete old conversations.'
            set options '-h,--help	Show this message and exit.'
        case 'telex history list'
            set options '-n,--limit any	List at most N conversations.' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
        case 'telex history show'
            set options '--answer	Print only the last answer, unchanged.' '--json	Print a JSON object; its key transcript has all turns in order.' '--save-images any	Write the images of the answers to new files in DIR.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex history search'
            set options '-n,--limit any	Show at most N results, also in a pipe.' '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history export'
            set options '--all	Export every conversation, oldest first.' '--format one markdown jsonl	Output format; by default from the name of FILE, or else markdown.' '-o,--output files	Write to FILE, readable only by you; if the export fails, FILE is unchanged.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history rename'
            set options '-h,--help	Show this message and exit.'
            set arguments 'any' 'any'
        case 'telex history remove'
            set options '--all	Remove every conversation.' '--with-usage	Remove the requests from the ledger too (see telex usage).' '-y,--yes	Do not ask for confirmation.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history prune'
            set options '--older-than any	An age in hours, days, weeks or years, such as 12h, 30d, 8w or 1y.' '--dry-run	List the conversations that would be removed, and remove nothing.' '--with-usage	Remove the requests from the ledger too (see telex usage).' '-y,--yes	Has no effect; prune never asks.' '-h,--help	Show this message and exit.'
        case 'telex test'
            set options '*-m,--model name models	Model to test, as for telex chat, instead of those that the files name. Repeat to test several.' '--judge name models	Model that judges answers, for cases with expect.judge.' '*--only any	Run only the cases whose name contains TEXT. Repeatable.' '--fresh	Send every request, also those whose answer is saved.' '--junit files	Write the results as JUnit XML, for CI systems.' '--json	Print a list of JSON objects.' '-j,--jobs any	Maximum number of requests in flight for each model. [default: adapts to the server, up to 64]' '--max-cost any	Stop before the run costs more. Unknown costs do not count.' '-q,--quiet	Print only the cases that do not pass, and errors.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--timeout any	Give up when the server sends nothing for this many seconds. [default: 600 for the first byte, then 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '-h,--help	Show this message and exit.'
            set arguments '*files'
        case 'telex usage'
            set options '--since any	Count requests since an age (12h, 30d, 8w, 1y) or a date (2026-05-31), today only, or all.' '--by one model provider day template command	What each row is for.' '--model name models	Count only the requests to this model.' '--provider name providers	Count only the requests to this provider.' '--json	Print a JSON object.' '--csv	Print CSV with a header.' '-h,--help	Show this message and exit.'
        case 'telex templates'
            set commands 'list	List the templates.' 'show	Show one template.' 'edit	Write or change a template.' 'remove	Remove a template.'
            set options '-h,--help	Show this message and exit.'
        case 'telex templates list'
            set options '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
        case 'telex templates show'
            set options '--json	Print the parsed template as a JSON object.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex templates edit'
            set options '--markdown	Create a new template as a Markdown file with a TOML header, instead of TOML.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex templates remove'
            set options '-y,--yes	Do not ask for confirmation.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex config'
            set commands 'list	List the settings with their sources.' 'get	Print one setting.' 'set	Change one setting.' 'unset	Remove one setting from the file.' 'edit	Edit the settings file in your editor.' 'path	Print the path of the settings file.'
            set options '-h,--help	Show this message and exit.'
        case 'telex config list'
            set options '--json	Print a list of JSON objects.' '-h,--help	Show this message and exit.'
        case 'telex config get'
            set options '--json	Print the value as JSON.' '-h,--help	Show this message and exit.'
            set arguments 'name settings'
        case 'telex config set'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name settings' '*of values 0'
        case 'telex config unset'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name settings'
        case 'telex config edit'
            set options '-h,--help	Show this message and exit.'
        case 'telex config path'
            set options '-h,--help	Show this message and exit.'
        case 'telex trust'
            set options '--show	Print the file and what it sets, and do not trust it.' '--remove	Stop trusting the file.' '--list	List the files that you trust.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex shell'
            set options '-m,--model name models	Model to use: an alias, PROVIDER/MODEL, a provider, or a model name that only one provider has.' '--explain any	Explain a command instead. A REQUEST is then a question about it.' '--widget one bash zsh fish	Print code for the shell\'s startup file: then a key (Alt-I) turns the line being typed into a command.' '--shell one bash zsh fish sh dash ash ksh mksh tcsh csh nu elvish xonsh pwsh powershell cmd	Write the command for this shell, and run it there. [default: your shell]' '--no-stdin	Do not read stdin.' '--dry-run	Print the request to the model, with the key redacted, and exit.' '*-v,--verbose	Log the request and the response headers to stderr; -vv also logs the response body.' '--connect-timeout any	Give up when no connection is made within this many seconds. [default: 10]' '--timeout any	Give up when the server sends nothing for this many seconds. [default: 600 for the first byte, then 120]' '--retries any	Times to retry a request that fails before any text arrives. [default: 2]' '--profile name profiles	Use a profile, as telex --profile NAME does.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex completion'
            set options '--install	Install the script where the shell looks for it.' '-h,--help	Show this message and exit.'
            set arguments 'one bash zsh fish powershell'
        case 'telex doctor'
            set options '--json	Print a JSON object.' '-h,--help	Show this message and exit.'
            set arguments '*one versions folders settings providers keyring proxies certificates models history tools completion terminal'
        case 'telex help'
            set options '-h,--help	Show this message and exit.'
            set arguments '*one conversations costs environment exit-codes files formatting keys limits models proxies scripts settings tests tools chat batch providers mcp history test usage templates config trust shell completion doctor help'
        case '*'
            return 1
    end
end

# Sets the caller's `value` to what the value of the option in the token $argv may be, and `rest` to what of it is in
# the same token; `attached` tells whether there is a place for it there. `used` grows by the option.
function __telex_option --no-scope-shadowing
    set value
    set attached
    set rest
    if string match -q -- '--*' "$argv"
        __telex_find (string replace -r '=.*' '' -- "$argv")
        if string match -q -- '*=*' "$argv"
            set attached x
            set rest (string replace -r '^[^=]*=' '' -- "$argv")
        end
        return
    end
    set rest (string sub -s 2 -- "$argv")
    while test -n "$rest"
        __telex_find -(string sub -l 1 -- "$rest"); or return
        set rest (string sub -s 2 -- "$rest")
        if set -q value[1]
            test -n "$rest"; and set attached x
            return
        end
    end
end

function __telex_find --no-scope-shadowing
    for option in $options
        set -l parts (string split ' ' -- (string replace -r '\t.*' '' -- $option))
        if contains -- $argv (string split , -- (string trim -l -c '*' -- $parts[1]))
            set -e parts[1]
            set value $parts
            contains -- $option $used; or set -a used $option
            return 0
        end
    end
    return 1
end

# Finds out what the cursor's word may be. Sets the caller's `kind` to that, `before` to what stands before it in the
# same token, and `typed` to what is typed of it.
function __telex_look --no-scope-shadowing
    set path telex
    set -l tokens (commandline -opc)
    set -l value
    set -l attached
    set -l rest
    set -l ended
    set -l pending
    while string match -qr '^[A-Za-z_]\w*=' -- "$tokens[1]"
        set -e tokens[1] # a variable that is set for the command
    end
    set -e tokens[1]
    __telex_table
    for token in $tokens
        if set -q pending[1]
            set pending
        else if test -z "$ended"; and test "x$token" = x--
            set ended x
        else if test -z "$ended"; and string match -qr '^-.' -- "$token"
            __telex_option $token
            test -z "$attached"; and set pending $value
        else if set -q commands[1]; and set -q arguments[1]; and not contains -- $token (string replace -r '\t.*' '' -- $commands)
            set commands # a command that has commands, too
            set -a given $token
        else if set -q commands[1]
            set path "$path $token"
            set used
            if not __telex_table
                if test "$path" = "telex $token"; and contains -- $token (string replace -r '\t.*' '' -- (__telex_plugins))
                    set kind files # a plugin takes anything
                end
                return
            end
        else
            set -a given $token
        end
    end

    set typed (commandline -ct | string replace -r '^["\']' '' | string unescape)
    if set -q pending[1]
        set kind $pending
    else if test -z "$ended"; and string match -q -- '-*' "$typed"
        set -l passed $used
        __telex_option $typed
        if set -q value[1]; and test -n "$attached"
            set kind $value
            set before (string sub -l (math (string length -- "$typed") - (string length -- "$rest")) -- "$typed")
            set typed "$rest"
        else
            set used $passed
            set kind options
        end
    else if set -q commands[1]; and not set -q arguments[1]
        set kind commands
    else if set -q arguments[1]
        set -l place (math (count $given) + 1)
        if test $place -gt (count $arguments); and string match -q '\**' -- $arguments[-1]
            set place -1
        end
        set kind (string split ' ' -- (string trim -l -c '*' -- $arguments[$place]))
    end
end

# Prints what may stand for the cursor's word; with an argument, prints nothing and tells whether it is a file.
function __telex_complete
    set -l commands
    set -l options
    set -l arguments
    set -l used
    set -l given
    set -l kind
    set -l before
    set -l typed
    set -l path
    __telex_look
    if set -q argv[1]
        test "$kind" = files
        return
    end
    switch "$kind[1]"
        case commands
            printf '%s\n' $commands
            test "$path" = telex; and __telex_plugins
        case files
            printf '%s\n' $commands # of a command that has commands, too
        case options
            for option in $options
                if not contains -- $option $used; or string match -q '\**' -- $option
                    set -l words (string split -m 1 \t -- $option)
                    set -l names (string replace -r ' .*' '' -- (string trim -l -c '*' -- $words[1]))
                    printf "%s\t$words[2]\n" (string split , -- $names)
                end
            end
        case folders
            __fish_complete_directories "$before$typed" ''
        case one
            printf '%s\n' "$before"$kind[2..-1]
        case of
            set -l owner $given[(math $kind[3] + 1)]
            __telex_names $kind[2] "$owner/*" | string replace -- "$owner/" "$before"
        case name
            if test "$kind[2]" = models
                __telex_models | string replace -r '^' -- "$before"
            else
                __telex_names $kind[2] '*' | string replace -r '^' -- "$before"
            end
    end
end

# Prints the programs telex-NAME in the absolute folders of PATH.
function __telex_plugins
    for folder in (string match '/*' -- $PATH)
        for file in $folder/telex-*
            if test -f $file; and test -x $file
                string replace -rf '.*/telex-([a-z0-9_-]+)$' '$1\tplugin' -- $file
            end
        end
    end
end

# First the providers, as "provider/", and the aliases; behind the slash the provider's models. With neither, a model's
# own name, as -m takes it where one provider has it.
function __telex_models --no-scope-shadowing
    if string match -qr '^[A-Za-z0-9-]+/' -- "$typed"
        # What is typed, if something begins so; else all of the provider, for fish's other ways of matching.
        __telex_names models (string replace -ra '[*?\\\\]' '\\\\$0' -- "$typed")'*'; and return
        __telex_names models (string replace -r '/.*' '/*' -- "$typed"); and return
    else
        set -l names (__telex_names providers '*' | string replace \t /\t; __telex_names aliases '*')
        if string match -qi -- "*$typed*" (string replace -r '\t.*' '' -- $names)
            printf '%s\n' $names
            return
        end
    end
    __telex_names models '*' | string replace -r '^[^/]*/' ''
end

# Prints those lines of a list that match, each a name, a tab and a few words; false if there are none.
function __telex_names -a list pattern
    set -l file ~/.cache/telex
    if test -n "$TELEX_HOME"
        set file (string replace -r '^~/' ~/ -- $TELEX_HOME)/cache
    else if string match -q '/*' -- "$XDG_CACHE_HOME"
        set file $XDG_CACHE_HOME/telex
    else if test -d ~/Library/Caches
        set file ~/Library/Caches/telex # this is macOS
    end
    set file $file/completion/$list.tsv
    test -f $file; and test -r $file; and string match -- "$pattern" <$file
end

complete -c telex -e
complete -c telex -f -a '(__telex_complete)'
complete -c telex -n '__telex_complete files' -F
