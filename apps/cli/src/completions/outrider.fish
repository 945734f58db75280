# Whether the words before the one that is being typed are of this command.
function __outrider_at
    set -l paths @paths@
    set -l valued @valued@
    set -l at outrider
    set -l is_value no
    for word in (commandline -opc)
        if string match -q -- '-*' $word
            set is_value no
            contains -- "$at $word" $valued; and set is_value yes
        else if test $is_value = yes
            set is_value no
        else if contains -- "$at $word" $paths
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end

complete -c outrider -f
@lines@
