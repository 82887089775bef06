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
            set commands 'chat	Send a prompt and stream the answer.' 'models	List models, set aliases and the default model.' 'providers	Set up the servers that telex talks to.' 'mcp	Set up MCP servers whose tools a model may call.' 'history	List, search and remove saved conversations.' 'templates	Save and reuse prompts with variables.' 'completion	Set up shell completion.' 'doctor	Check the installation and suggest fixes.' 'help	Show help for a topic or a command.'
            set options '-V,--version	Show the version and exit.' '-h,--help	Show this message and exit.'
        case 'telex chat'
            set options '*-m,--model name models	Model to use: PROVIDER/MODEL, a provider, or a model name that is unique. Repeat to ask several at once.' '-s,--system any	Set the system message.' '--template name templates	Use a saved prompt (see telex templates). Options given here override it.' '*--var any	Set a template variable.' '*-f,--file files	Put a text file before the prompt; - is stdin. Repeatable.' '*-i,--image files	Attach an image: a file, an https address, or - for stdin. Repeatable.' '-c,--continue	Continue the latest conversation.' '--conversation any	Continue this conversation: its id, the start of its id, or its title.' '--no-save	Do not save this chat in the history.' '--stream,--no-stream	Print the answer as it arrives (default), or all at once.' '--max-tokens any	Limit the answer to N tokens.' '-t,--temperature any	Set the sampling temperature; sent only if given.' '*-p,--param any	Set another field of the request body. Repeatable.' '--reasoning-effort any	How much to reason: none, low, medium, high, …' '--reasoning one show hide summary	How much of the model\'s reasoning to show.' '--markdown,--plain	Render Markdown (default on a terminal), or print it unchanged.' '--json	Print one JSON object at the end.' '--jsonl	Print one JSON object per line and event, as it arrives.' '-x,--extract	Print only the first code block of the answer.' '--schema any	JSON that fits: a schema\'s file, a schema, or fields as in "name, age int, tags list".' '--retries-schema any	Times to retry when the answer does not match the schema.' '*--tools name servers	Let the model call the tools of these MCP servers, or all (see telex mcp).' '*--allow any	Run tools that match without asking, such as server/read_*' '--tool-choice any	Choose auto, required, none, or the one tool to call.' '--max-turns any	Maximum number of requests in a tool-calling loop.' '-o,--output any	Write the answer to FILE; leave FILE unchanged if the answer is incomplete.' '--save-images any	Write the images of the answer to new files in DIR.' '--dry-run	Print the request, with the key redacted, and exit.' '*-v,--verbose	Log the request to stderr; -vv also logs the response.' '-u,--usage	Print tokens, cost and times in full.' '-q,--quiet	Print only the answer and errors.' '--no-stdin	Do not read stdin.' '--connect-timeout any	Give up when no connection is made within this many seconds.' '--timeout any	Give up when the server sends nothing for this many seconds.' '--retries any	Times to retry a request that fails before any text arrives.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex models'
            set commands 'list	List what can be asked now, by provider.' 'show	Show what is known of one model.' 'add	Declare a model, or what you know of one.' 'edit	Change what is declared of a model.' 'remove	Forget what was declared of a model.' 'alias	Give a model a short name, or list the short names.' 'default	Show or set the model that is asked when none is named.'
            set options '-h,--help	Show this message and exit.'
        case 'telex models list'
            set options '*-P,--provider name providers	Only this provider\'s.' '--reasoning	Only those known to reason.' '--tools	Only those known to call tools.' '--vision	Only those known to read images.' '--all	Also those that do not chat: embeddings, speech, images.' '--refresh	Ask the servers for their lists first.' '--json	One JSON list on stdout.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex models show'
            set options '--json	One JSON object on stdout.' '-h,--help	Show this message and exit.'
            set arguments 'name models'
        case 'telex models add'
            set options '--name any	A name to show.' '--context any	Its window, in tokens.' '--max-output any	The longest answer, in tokens.' '--reasoning,--no-reasoning	Whether it reasons.' '--tools,--no-tools	Whether it calls tools.' '--vision,--no-vision	Whether it reads images.' '-h,--help	Show this message and exit.'
            set arguments 'name providers' 'models-of 0'
        case 'telex models edit'
            set options '--name any	A name to show.' '--context any	Its window, in tokens.' '--max-output any	The longest answer, in tokens.' '--reasoning,--no-reasoning	Whether it reasons.' '--tools,--no-tools	Whether it calls tools.' '--vision,--no-vision	Whether it reads images.' '*--unset one name context max_output reasoning tools vision	Forget what was said of it.' '-h,--help	Show this message and exit.'
            set arguments 'name providers' 'models-of 0'
        case 'telex models remove'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name providers' 'models-of 0'
        case 'telex models alias'
            set options '--remove	Remove the alias.' '-h,--help	Show this message and exit.'
            set arguments 'name aliases' 'name models'
        case 'telex models default'
            set options '--unset	Have no default.' '-h,--help	Show this message and exit.'
            set arguments 'name models'
        case 'telex providers'
            set commands 'add	Set up a provider, and check that it works.' 'list	List the providers that are set up, and where their keys come from.' 'show	Show all that is set up for one provider.' 'presets	Search the providers that can be set up by name alone.' 'test	Check that providers answer, step by step.' 'discover	Find the model servers that run on this machine.' 'edit	Change what is set up for a provider.' 'set-key	Change where a provider\'s key comes from.' 'set-secret	Store a secret for providers\' headers in the keyring.' 'rename	Give a provider another name.' 'remove	Remove a provider and its key.' 'export	Write the providers to a file, without their keys.' 'import	Set up the providers of a file.'
            set options '-h,--help	Show this message and exit.'
        case 'telex providers add'
            set options '--base-url any	Where the API is; the part before /chat/completions.' '--preset name presets	The preset to use, where NAME is not its name.' '--gguf files	A model file that telex runs itself, with no server to set up.' '*--set any	A part of a preset\'s address, as account_id.' '--key-stdin	Read the key from stdin and keep it in the keyring.' '--key-env any	The environment variable that holds the key.' '--key-command any	A command that prints the key, run for each chat.' '--no-key	The server needs no key.' '--display-name any	How the provider is called in lists.' '*--model any	A model; the first is the default.' '*--model-name any	Its name in lists, in the same order.' '*--header any	A header to send with every request.' '--proxy any	The proxy to go through, or none for going straight.' '--ca-bundle files	Certificates to trust instead of the system\'s.' '--client-cert files	A certificate to show, with its key, in PEM.' '--connect-timeout any	The longest wait for a connection.' '--first-byte-timeout any	The longest wait for an answer to begin.' '--idle-timeout any	The longest silence within an answer.' '--retries any	Times to retry a request that fails before any text arrives.' '--retry-budget any	The time in which retries may begin.' '--allow-http	Send the key over plain http to a host that is not local.' '--no-verify	Save without asking the server.' '--replace	Overwrite a provider of this name.' '-h,--help	Show this message and exit.'
            set arguments 'name presets'
        case 'telex providers list'
            set options '--json	One list of objects.' '--check-keys	Look for the keys, and show the last 4 characters of long ones.' '-h,--help	Show this message and exit.'
        case 'telex providers show'
            set options '--json	One object.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers presets'
            set options '--json	One list of objects.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex providers test'
            set options '--all	All providers that are not switched off.' '--model any	The model to ask, instead of the default one.' '--deep	Find out what the model can do, by about a dozen short requests.' '--timeout any	The longest wait for a server.' '--json	One list of objects.' '-h,--help	Show this message and exit.'
            set arguments '*name providers'
        case 'telex providers discover'
            set options '*--port any	Look at this port, instead of those that servers are known to use.' '--add	Set up all that are new and need no key, without asking.' '--json	One list of objects.' '-h,--help	Show this message and exit.'
        case 'telex providers edit'
            set options '--enable,--disable	Switch the provider on or off.' '--display-name any	How the provider is called in lists.' '--base-url any	Where the API is; the part before /chat/completions.' '--preset name presets	The preset whose facts count where nothing else is set.' '*--set any	A part of a preset\'s address.' '--gguf files	A model file that telex runs itself.' '*--model any	The models, in the place of those that are set.' '--default-model models-of 0	The model that is meant by the provider\'s name alone.' '*--header any	A header to send, beside those that are set.' '--key-stdin	Read the key from stdin and keep it in the keyring.' '--key-env any	The environment variable that holds the key.' '--key-command any	A command that prints the key, run for each chat.' '--no-key	The server needs no key.' '--proxy any	The proxy to go through, or none for going straight.' '--ca-bundle files	Certificates to trust instead of the system\'s.' '--client-cert files	A certificate to show, with its key, in PEM.' '--connect-timeout any	The longest wait for a connection.' '--first-byte-timeout any	The longest wait for an answer to begin.' '--idle-timeout any	The longest silence within an answer.' '--retries any	Times to retry a request that fails before any text arrives.' '--retry-budget any	The time in which retries may begin.' '*--unset any	Remove a field, by the name of its option, or one part of it: header.X-Team.' '--no-verify	Save a new key without asking the server whether it takes it.' '--allow-http	Send the key over plain http to a host that is not local.' '--trust	Send the present key to the new address as well.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers set-key'
            set options '--key-stdin	Read the key from stdin and keep it in the keyring.' '--key-env any	The environment variable that holds the key.' '--key-command any	A command that prints the key, run for each chat.' '--no-key	The server needs no key.' '--no-verify	Do not ask the server whether it takes the key.' '--allow-http	Send the key over plain http to a host that is not local.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers set-secret'
            set options '--stdin	Read the secret from stdin.' '--for any	An address it is for, where no header names it yet.' '--remove	Remove it from the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex providers rename'
            set options '-h,--help	Show this message and exit.'
            set arguments 'name providers' 'any'
        case 'telex providers remove'
            set options '-y,--yes	Do not ask.' '--keep-key	Leave the key in the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'name providers'
        case 'telex providers export'
            set options '--format one toml json	By default what the file\'s name says, else toml.' '*--only name providers	Only this provider; repeatable.' '--replace	Overwrite the file.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex providers import'
            set options '--replace	Overwrite providers of the same names.' '*--trust any	Let the key of this provider go where the file sends it; may be repeated.' '--allow-commands	Accept commands that print keys; they run on this machine.' '--allow-http	Let keys travel over plain http to hosts that are not local.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex mcp'
            set commands 'add	Set up a server: a command, or an address.' 'list	List the servers that are set up.' 'test	Start servers, list their tools, and time each step.' 'tools	Start a server and list its tools.' 'set-secret	Put a secret for servers into the keyring.' 'import	Set up the servers of another client\'s file.' 'remove	Remove a server and its secrets.'
            set options '-h,--help	Show this message and exit.'
        case 'telex mcp add'
            set options '--url any	The address of a server over HTTP, in place of a command.' '*--env any	A variable of the command\'s environment.' '*--header any	A header of every request.' '--cwd folders	The folder the command runs in.' '--timeout any	Longest time for one call, restarted by each progress message (up to ten times as long). By default 60.' '--start-timeout any	The longest that its start may take. By default 30.' '--max-result any	The most of a result that a model is given. By default 100000.' '*--allow any	Tools that run without asking, as read_*.' '--allow-http	Send secrets over plain http to a host that is not local.' '--replace	Overwrite a server of this name.' '-h,--help	Show this message and exit.'
            set arguments 'any' '*any'
        case 'telex mcp list'
            set options '--json	One list of objects.' '-h,--help	Show this message and exit.'
        case 'telex mcp test'
            set options '--timeout any	The longest that a start may take, instead of what is set for the server.' '--json	One list of objects.' '-h,--help	Show this message and exit.'
            set arguments '*name servers'
        case 'telex mcp tools'
            set options '--json	One list of objects, with each tool\'s schema.' '-h,--help	Show this message and exit.'
            set arguments 'name servers'
        case 'telex mcp set-secret'
            set options '--stdin	Read the secret from stdin.' '--for any	An address it is for, where no header names it yet.' '--remove	Remove it from the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex mcp import'
            set options '*--only any	Only this server; may be given several times.' '--replace	Overwrite servers of the same names.' '--secrets one keyring env	Secrets in plain go into the keyring, or are looked for in variables of the same names.' '--allow-http	Send secrets over plain http to hosts that are not local.' '-h,--help	Show this message and exit.'
            set arguments 'files'
        case 'telex mcp remove'
            set options '-y,--yes	Do not ask.' '--keep-secrets	Leave its secrets in the keyring.' '-h,--help	Show this message and exit.'
            set arguments 'name servers'
        case 'telex history'
            set commands 'list	List the conversations, the latest first.' 'show	Show a conversation, or its last answer alone.' 'search	Find what was said by words in it.' 'export	Write conversations as Markdown or JSON Lines.' 'rename	Give a conversation another title.' 'remove	Remove conversations for good.' 'prune	Remove for good what is old.'
            set options '-h,--help	Show this message and exit.'
        case 'telex history list'
            set options '-n,--limit any	No more than N.' '--json	One list of objects.' '-h,--help	Show this message and exit.'
        case 'telex history show'
            set options '--answer	The last answer alone, as it came.' '--json	One object, with every turn in its transcript.' '--save-images any	Write the images of the answers to new files in DIR.' '-h,--help	Show this message and exit.'
            set arguments 'any'
        case 'telex history search'
            set options '-n,--limit any	No more than N; 20.' '--json	One list of objects.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history export'
            set options '--all	Every conversation, the oldest first.' '--format one markdown jsonl	By default what the name of FILE says, else markdown.' '-o,--output files	Into FILE, for you alone to read; replaced in one step.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history rename'
            set options '-h,--help	Show this message and exit.'
            set arguments 'any' 'any'
        case 'telex history remove'
            set options '--all	Every conversation.' '-y,--yes	Do not ask.' '-h,--help	Show this message and exit.'
            set arguments '*any'
        case 'telex history prune'
            set options '--older-than any	As 12h, 30d, 8w or 1y: hours, days, weeks or years of 365 days.' '--dry-run	List what would be removed, as telex history list does.' '-y,--yes	Do not ask, which prune never does.' '-h,--help	Show this message and exit.'
        case 'telex templates'
            set commands 'list	List the templates.' 'show	Show one template.' 'edit	Write a template, or change one.' 'remove	Remove a template.'
            set options '-h,--help	Show this message and exit.'
        case 'telex templates list'
            set options '--json	One list of objects.' '-h,--help	Show this message and exit.'
        case 'telex templates show'
            set options '--json	One object, of the template as it is read.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex templates edit'
            set options '--markdown	Begin a new one as Markdown: the prompt below a head of TOML.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex templates remove'
            set options '-y,--yes	Do not ask.' '-h,--help	Show this message and exit.'
            set arguments 'name templates'
        case 'telex completion'
            set options '--install	Put the script where the shell looks, and say where that is.' '-h,--help	Show this message and exit.'
            set arguments 'one bash zsh fish powershell'
        case 'telex doctor'
            set options '--json	One object.' '-h,--help	Show this message and exit.'
            set arguments '*one versions folders settings providers keyring proxies trust models history tools completion terminal'
        case 'telex help'
            set options '-h,--help	Show this message and exit.'
            set arguments '*one conversations environment exit-codes files formatting keys models proxies scripts tools chat providers mcp history templates completion doctor help'
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
    set -l path telex
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
        else if set -q commands[1]
            set path "$path $token"
            set used
            __telex_table; or return
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
    else if set -q commands[1]
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
    __telex_look
    if set -q argv[1]
        test "$kind" = files
        return
    end
    switch "$kind[1]"
        case commands
            printf '%s\n' $commands
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
        case models-of
            set -l provider $given[(math $kind[2] + 1)]
            __telex_names models "$provider/*" | string replace -- "$provider/" "$before"
        case name
            if test "$kind[2]" = models
                __telex_models | string replace -r '^' -- "$before"
            else
                __telex_names $kind[2] '*' | string replace -r '^' -- "$before"
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
