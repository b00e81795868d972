// Gives the choice of a route the search box of the admin's own select2; without scripts it stays a plain select.
(function ($) {
    function begin(root) {
        $(root).find("select.route-select").not("[name*='__prefix__']").select2().on("select2:open", function () {
            // jQuery 3.6 and newer leave the focus where it was.
            document.querySelector(".select2-container--open .select2-search__field").focus();
        });
    }

    $(function () { begin(document); });
    // A row that "Add another" makes.
    document.addEventListener("formset:added", function (event) { begin(event.target); });
})(django.jQuery);
